import colors from 'picocolors';
import { describeError, exit } from '../errors.ts';
import { type Grading, isGreen, type Law, type Scope } from '../grading.ts';
import type { Hints } from '../hints.ts';
import type { FileDiff } from '../reference-diff.ts';
import { columns, indent, wrap } from '../text.ts';
import { diffView, keysLine, type Lessons, lessonsView, resultView, type Verdict, verdictOf } from './view.ts';

/** The world of a session; a test brings its own. */
export type SessionPorts = {
  readonly title: string;
  /** What to tell on the first page; '' for nothing. */
  readonly notice: string;
  /** Path of the lab's folder as the learner would type it. */
  readonly folder: string;
  readonly width: number;
  /** Laws that an earlier run counted; 0 where none did. */
  readonly known: number;
  /** Where the walk ends: with the core laws, until the learner asks for more, or with the last law. */
  readonly scope: Scope;
  /** Grades the attempt as it is now; rejects when `signal` aborts. */
  grade(scope: Scope, signal: AbortSignal, onLaw: (law: Law) => void): Promise<Grading>;
  /** Begins to call `changed` on each change of the attempt. */
  watch(changed: () => void): Promise<Disposable>;
  /** Begins to hand over keys; undefined where there is no keyboard. */
  readonly keys: ((pressed: (key: string) => void) => Disposable) | undefined;
  hints(): Promise<Hints>;
  diff(): Promise<readonly FileDiff[]>;
  lessons(scope: Scope): Promise<Lessons>;
  record(grading: Grading): Promise<void>;
  /** Replaces what is on screen; appends where there is no screen to replace. */
  show(page: string): void;
  /** One line below the page that the next one replaces. */
  status(line: string): void;
  readonly env: NodeJS.ProcessEnv;
};

/**
 * Grades on every change, shows one red law, listens for keys; until the learner leaves. The core laws come first, in
 * teaching order; the hardening laws when the learner asks for them.
 */
export class LearnSession {
  readonly #ports: SessionPorts;
  #grading: Grading | undefined;
  #run: AbortController | undefined;
  #scope: Scope;
  #known: number;
  readonly #path = new Path();
  #redAgain = false;
  #hintsShown = 0;
  #extra = '';
  #noticed = false;
  #confirmingDiff = false;
  #settled: Promise<void> = Promise.resolve();
  #keys: Promise<void> = Promise.resolve();
  readonly #left = Promise.withResolvers<void>();

  constructor(ports: SessionPorts) {
    this.#ports = ports;
    this.#known = ports.known;
    this.#scope = ports.scope;
  }

  /** @returns the exit code: 0 once the learner has left, by key or by signal. */
  async start(signal: AbortSignal): Promise<number> {
    using stack = new DisposableStack();
    if (signal.aborted) return exit.done;
    const leave = () => this.#left.resolve();
    signal.addEventListener('abort', leave, { once: true });
    stack.defer(() => signal.removeEventListener('abort', leave));
    stack.use(await this.#ports.watch(() => this.#rerun()));
    const keys = this.#ports.keys?.((key) => this.#pressed(key));
    if (keys) stack.use(keys);
    this.#rerun();
    await this.#left.promise;
    this.#run?.abort();
    await Promise.all([this.#settled, this.#keys]);
    return exit.done;
  }

  /** A run in flight grades code that is no longer there: it is ended before the next begins. */
  #rerun(): void {
    this.#run?.abort();
    const run = new AbortController();
    this.#run = run;
    this.#settled = this.#settled.then(() => (run.signal.aborted ? undefined : this.#gradeOnce(run.signal)));
  }

  async #gradeOnce(signal: AbortSignal): Promise<void> {
    const { grade, record, status } = this.#ports;
    let judged = 0;
    status('grading…');
    try {
      const scope = this.#scope;
      const total = scope === 'core' ? (this.#grading?.core ?? 0) : this.#known;
      const grading = await grade(scope, signal, () => {
        judged += 1;
        if (!signal.aborted) status(`grading… ${judged}${total > 0 ? ` of ${total}` : ''} judged`);
      });
      if (signal.aborted) return;
      await this.#take(grading);
      await record(grading);
      this.#draw();
    } catch (error) {
      if (!signal.aborted) this.#showError(error);
    }
  }

  #showError(error: unknown): void {
    this.#ports.show(`${colors.red('✗')} ${describeError(error, this.#ports.env)}\n`);
  }

  async #take(grading: Grading): Promise<void> {
    const before = this.#lawOf(this.#grading);
    this.#grading = grading;
    const whole = grading.scope === 'all' && grading.complete;
    if (whole && grading.laws.length > 0) this.#known = grading.laws.length;
    this.#redAgain = this.#path.take(grading);
    this.#confirmingDiff = false;
    this.#extra = isGreen(grading) ? await this.#lessons(grading.scope) : '';
    // The same law is still red: the hints that were asked for stay in view.
    if (this.#lawOf(grading) === before && this.#hintsShown > 0) await this.#showHints(this.#hintsShown);
    else this.#hintsShown = 0;
  }

  #lawOf(grading: Grading | undefined): string | undefined {
    const verdict = grading && verdictOf(grading);
    return verdict?.kind === 'red' ? verdict.law.name : undefined;
  }

  async #lessons(scope: Scope): Promise<string> {
    return lessonsView(await this.#ports.lessons(scope), this.#ports.width);
  }

  /** Keys take effect in turn, however fast they come; leaving and running anew do so at once. */
  #pressed(key: string): void {
    if (key === 'q' || key === '\u0003' || key === '\u0004') this.#left.resolve();
    else if (key === 'r') this.#rerun();
    else this.#keys = this.#keys.then(() => this.#act(key)).catch((error: unknown) => this.#showError(error));
  }

  async #act(key: string): Promise<void> {
    const grading = this.#grading;
    if (!grading) return;
    const verdict = verdictOf(grading);
    if (key === 'h' && verdict.kind === 'red') {
      this.#confirmingDiff = false;
      await this.#showHints(this.#hintsShown + 1);
      return this.#draw();
    }
    if (key === 'a' && coreIsDone(verdict)) {
      this.#scope = 'all';
      return this.#rerun();
    }
    if (key === 'd') return this.#diffPressed(verdict);
    if (this.#confirmingDiff) {
      this.#confirmingDiff = false;
      this.#extra = '';
      this.#draw();
    }
  }

  async #showHints(count: number): Promise<void> {
    const law = this.#lawOf(this.#grading);
    if (law === undefined) return;
    const hints = (await this.#ports.hints()).for(law);
    this.#hintsShown = Math.min(count, hints.length);
    const shown = hints.slice(0, count).map((hint) => this.#hintView(hint));
    const left = hints.length - count;
    const note =
      hints.length === 0
        ? 'no hint is written for this law; d shows the reference'
        : left > 0
          ? `h for the next hint (${left} left)`
          : left < 0
            ? 'that was the last hint; d shows the reference'
            : '';
    this.#extra = [...shown, ...(note ? [colors.dim(`  ${note}`)] : [])].join('\n\n');
  }

  /** Prose is wrapped; code stands as it was written. */
  #hintView(hint: string): string {
    const text = hint.startsWith('```')
      ? hint.replace(/^```.*\n|\n?```$/g, '')
      : wrap(hint, Math.min(this.#ports.width, 100) - 4);
    return indent(text, `  ${colors.dim('│')} `);
  }

  async #diffPressed(verdict: Verdict): Promise<void> {
    // Among the hardening laws the learner has built the idea already, and nothing is given away.
    const spoils =
      verdict.kind !== 'green' && !(verdict.kind === 'red' && this.#grading?.core && verdict.law.core === undefined);
    if (spoils && !this.#confirmingDiff) {
      this.#confirmingDiff = true;
      this.#extra = colors.yellow('  The diff gives the solution away. d again shows it, any other key goes back.');
      return this.#draw();
    }
    this.#confirmingDiff = false;
    this.#extra = diffView(await this.#ports.diff());
    this.#draw();
  }

  #heading(): string {
    const { title, folder, width } = this.#ports;
    const file = `${folder}/attempt/index.ts`;
    const note = 'graded when you save it';
    const fits = columns(`${title}  ${file}  ${note}`) <= width;
    return `${colors.bold(title)}  ${colors.cyan(file)}${fits ? `  ${colors.dim(note)}` : ''}`;
  }

  #draw(): void {
    const { folder, width, show, keys } = this.#ports;
    if (!this.#grading) return;
    const verdict = verdictOf(this.#grading);
    const offered = [
      ...(verdict.kind === 'red' ? [['h', 'hint'] as const] : []),
      ...(coreIsDone(verdict) ? [['a', 'all: on to the hardening laws'] as const] : []),
      ['r', 'rerun'] as const,
      ['d', 'diff to the reference'] as const,
      ['q', 'quit'] as const,
    ];
    const notice = this.#noticed ? '' : this.#ports.notice;
    this.#noticed = true;
    const page = [
      this.#heading(),
      notice,
      resultView(this.#grading, { folder, width, known: this.#known, redAgain: this.#redAgain }),
      this.#extra,
      keys ? keysLine(offered) : '',
    ];
    show(`${page.filter((block) => block !== '').join('\n\n')}\n`);
  }
}

const coreIsDone = (verdict: Verdict): boolean => verdict.kind === 'green' && verdict.scope === 'core';

/** How far the learner has come on the path, in this session. */
class Path {
  /** Laws that held in an earlier run. */
  readonly #held = new Set<string>();
  /** Laws that were passed by: those before the first red law of an earlier run. */
  readonly #behind = new Set<string>();

  /** @returns whether the law that is red now was behind the learner: it held, and so did all before it. */
  take({ laws }: Grading): boolean {
    const at = laws.findIndex(({ state }) => state === 'failed');
    const red = laws[at];
    const again = red !== undefined && this.#held.has(red.name) && this.#behind.has(red.name);
    for (const { name } of at < 0 ? laws : laws.slice(0, at)) this.#behind.add(name);
    for (const { name, state } of laws) if (state === 'passed') this.#held.add(name);
    return again;
  }
}
