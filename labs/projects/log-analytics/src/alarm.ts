import { checkShare, checkWhole, InvalidArgumentError } from './errors.ts';

/** When too many answers are errors (5xx). */
export interface Rule {
  readonly name: string;
  /** Fires when the share of errors is at least this ... */
  readonly share: number;
  /** ... and is over when it is at most this, which is less: in between nothing changes. */
  readonly clear: number;
  /** ... in so many closed windows in a row, either way. */
  readonly windows: number;
  /** A window with fewer lines says nothing, either way. */
  readonly least: number;
}

export interface AlarmState {
  readonly firing: boolean;
  /** Windows in a row that speak for the other state. */
  readonly streak: number;
}

export type Change = 'firing' | 'over';

/** One rule over the closed windows, in their order. */
export class Alarm {
  readonly rule: Rule;
  protected firing: boolean;
  protected streak: number;

  /** @throws InvalidArgumentError */
  constructor(rule: Rule, { firing, streak }: AlarmState = { firing: false, streak: 0 }) {
    const { name, share, clear, windows, least } = rule;
    if (!/^[\w -]{1,64}$/.test(name)) throw new InvalidArgumentError('rule.name', name, '1 to 64 letters or digits');
    checkShare('rule.share', share);
    checkShare('rule.clear', clear);
    if (clear >= share) throw new InvalidArgumentError('rule.clear', clear, `less than share, which is ${share}`);
    checkWhole('rule.windows', windows, 1);
    checkWhole('rule.least', least, 1);
    this.rule = rule;
    this.firing = firing;
    this.streak = streak;
  }

  /** @returns what changes with this window, if anything does */
  judge({ lines, errors }: { readonly lines: number; readonly errors: number }): Change | undefined {
    if (lines < this.rule.least) return undefined;
    const share = errors / lines;
    const otherwise = this.firing ? share <= this.rule.clear : share >= this.rule.share;
    this.streak = otherwise ? this.streak + 1 : 0;
    if (this.streak < this.rule.windows) return undefined;
    this.streak = 0;
    this.firing = !this.firing;
    return this.firing ? 'firing' : 'over';
  }

  toJSON(): AlarmState {
    return { firing: this.firing, streak: this.streak };
  }
}
