import colors from 'picocolors';
import type { Pitfall } from '../anatomy.ts';
import { describeError, exit } from '../errors.ts';
import { type Grading, isGreen, type Law } from '../grading.ts';
import type { Hints } from '../hints.ts';
import type { FileDiff } from '../reference-diff.ts';
import { indent, wrap } from '../text.ts';
import { diffView, greenView, keysLine, resultView, type Verdict, verdictOf } from './view.ts';

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
  /** Grades the attempt as it is now; rejects when `signal` aborts. */
  grade(signal: AbortSignal, onLaw: (law: Law) => void): Promise<Grading>;
  /** Begins to call `changed` on each change of the attempt. */
  watch(changed: () => void): Promise<Disposable>;
  /** Begins to hand over keys; undefined where there is no keyboard. */
  readonly keys: ((pressed: (key: string) => void) => Disposable) | undefined;
  hints(): Promise<Hints>;
  diff(): Promise<readonly FileDiff[]>;
  pitfalls(): Promise<readonly Pitfall[]>;
  record(grading: Grading): Promise<void>;
  /** Replaces what is on screen; appends where there is no screen to replace. */
  show(page: string): void;
  /** One line below the page that the next one replaces. */
  status(line: string): void;
  readonly env: NodeJS.ProcessEnv;
};

/** Grades on every change, shows one red law, listens for keys; until the learner leaves. */
export class LearnSession {
  readonly #ports: SessionPorts;
  #grading: Grading | undefined;
  #run: AbortController | undefined;
  #known: number;
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
      const grading = await grade(signal, () => {
        judged += 1;
        if (!signal.aborted) status(`grading… ${judged}${this.#known > 0 ? ` of ${this.#known}` : ''} judged`);
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
    if (grading.complete && grading.laws.length > 0) this.#known = grading.laws.length;
    this.#confirmingDiff = false;
    this.#extra = isGreen(grading) ? await this.#lessons() : '';
    // The same law is still red: the hints that were asked for stay in view.
    if (this.#lawOf(grading) === before && this.#hintsShown > 0) await this.#showHints(this.#hintsShown);
    else this.#hintsShown = 0;
  }

  #lawOf(grading: Grading | undefined): string | undefined {
    const verdict = grading && verdictOf(grading);
    return verdict?.kind === 'red' ? verdict.law.name : undefined;
  }

  async #lessons(): Promise<string> {
    const [diffs, pitfalls] = await Promise.all([this.#ports.diff(), this.#ports.pitfalls()]);
    return greenView(diffs, pitfalls, this.#ports.width);
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
    if (verdict.kind !== 'green' && !this.#confirmingDiff) {
      this.#confirmingDiff = true;
      this.#extra = colors.yellow('  The diff gives the solution away. d again shows it, any other key goes back.');
      return this.#draw();
    }
    this.#confirmingDiff = false;
    this.#extra = diffView(await this.#ports.diff());
    this.#draw();
  }

  #draw(): void {
    const { title, folder, width, show, keys } = this.#ports;
    if (!this.#grading) return;
    const { kind } = verdictOf(this.#grading);
    const offered = [
      ...(kind === 'red' ? [['h', 'hint'] as const] : []),
      ['r', 'rerun'] as const,
      ['d', 'diff to the reference'] as const,
      ['q', 'quit'] as const,
    ];
    const notice = this.#noticed ? '' : this.#ports.notice;
    this.#noticed = true;
    const page = [
      `${colors.bold(title)}  ${colors.cyan(`${folder}/attempt/index.ts`)}  ${colors.dim('graded when you save it')}`,
      notice,
      resultView(this.#grading, { folder, width, known: this.#known }),
      this.#extra,
      keys ? keysLine(offered) : '',
    ];
    show(`${page.filter((block) => block !== '').join('\n\n')}\n`);
  }
}
