/** One story as a program: signals, exit codes, and an end that always cleans up. */
import { Console } from 'node:console';
import { randomInt } from 'node:crypto';
import diagnostics from 'node:diagnostics_channel';
import { constants } from 'node:os';
import { isPromise } from 'node:util/types';
import { exitCodeOf } from './describe.ts';
import { StoryError } from './error.ts';
import type { EndEvent } from './events.ts';
import type { Flags } from './flags.ts';
import { Narrator, within } from './narrator.ts';
import { jsonSink, type Sink, slowSink, textSink } from './sinks.ts';
import type { Story, TellOptions } from './story.ts';

/** Why a story ends before its body does. */
type Halt =
  | { readonly kind: 'signal'; readonly code: number }
  /** Nobody reads any more, as in `| head`. */
  | { readonly kind: 'pipe' }
  | { readonly kind: 'fatal'; readonly error: unknown };

const DEFAULT_WIDTH = 80;
const WIDEST_TERMINAL = 120;
/** How long a stopped body may take to unwind before its servers are stopped under it. */
const UNWIND_MS = 1000;
const FLUSH_MS = 2000;
/** One Ctrl-C can arrive twice: from the terminal, and passed on by the package manager. */
const SAME_KEYPRESS_MS = 300;
const LINGER_MS = 2000;
const PAUSE_MS = 1500;
const SIGPIPE_CODE = 141;
/** Where servers say what they are at; `story.use()` tells the banner, so only the progress is left to say. */
const SERVICES = 'concept-labs:services';

/** Runs one story from its first word to its last server. */
export async function run(options: TellOptions, flags: Flags, body: (story: Story) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const halted = Promise.withResolvers<Halt>();
  let halt: Halt | undefined;
  const stopWith = (reason: Halt) => {
    if (halt !== undefined) return;
    halt = reason;
    sink.hurry();
    halted.resolve(reason);
  };

  const closed = { stdout: false };
  process.stdout.on('error', () => {
    closed.stdout = true;
    stopWith({ kind: 'pipe' });
  });
  process.stderr.on('error', () => {});
  const write = (text: string) => {
    if (!closed.stdout) process.stdout.write(text);
  };
  const sink = makeSink(flags, write, () => signalled('SIGINT'));

  let lastSignal = -Infinity;
  const signalled = (name: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => {
    const now = performance.now();
    const again = now - lastSignal > SAME_KEYPRESS_MS;
    const code = 128 + constants.signals[name];
    if (halt !== undefined && again) process.exit(code);
    lastSignal = now;
    stopWith({ kind: 'signal', code });
  };
  const fatal = (error: unknown) => {
    // After the stop, what unwinds may fail in many ways that tell nothing new.
    if (halt !== undefined) return;
    narrator.fail(error);
    stopWith({ kind: 'fatal', error });
  };
  const stuck = () => {
    const where = narrator.openScene === undefined ? 'the story' : `scene "${narrator.openScene}"`;
    fatal(new StoryError(`${where} waits for a promise that nothing can settle any more: nothing is left running`));
  };
  const listeners: readonly (readonly [string, (argument: unknown) => void])[] = [
    ['SIGINT', () => signalled('SIGINT')],
    ['SIGTERM', () => signalled('SIGTERM')],
    ['SIGHUP', () => signalled('SIGHUP')],
    ['uncaughtException', fatal],
    ['unhandledRejection', fatal],
    ['beforeExit', stuck],
  ];
  for (const [name, listener] of listeners) process.on(name, listener);
  diagnostics.subscribe(SERVICES, hearProgress);
  // With --json stdout belongs to the events, whatever a library logs.
  const console = globalThis.console;
  if (flags.json) globalThis.console = new Console(process.stderr, process.stderr);

  const narrator = new Narrator({
    dir: options.dir,
    seed: flags.seed ?? randomInt(1, 1_000_000),
    signal: stop.signal,
    emit: (event) => sink.event(event),
    shown: () => sink.shown(),
  });
  narrator.nextSteps.push(...(options.next ?? []));
  const { title, subtitle } = options;
  narrator.emit({
    type: 'start',
    version: 1,
    title,
    ...(subtitle === undefined ? {} : { subtitle }),
    seed: narrator.seed,
  });

  const told = play(narrator, body);
  const first = await Promise.race([told, halted.promise]);
  let failure: { error: unknown } | undefined;
  if (first === undefined) {
    await Promise.race([sink.shown(), halted.promise]);
  } else if ('kind' in first) {
    stop.abort(new StoryError('the story was stopped'));
    if (first.kind === 'fatal') failure = { error: first.error };
    await within(told, UNWIND_MS);
  } else {
    failure = first;
    narrator.fail(first.error);
  }
  if (halt !== undefined && !stop.signal.aborted) stop.abort(new StoryError('the story was stopped'));

  const holding = flags.hold && halt === undefined && narrator.servers.length > 0;
  let cleanupFailed = false;
  const cleanUp = async (report: (error: Error) => void) => {
    for (const error of await narrator.dispose()) {
      cleanupFailed = true;
      report(error);
    }
  };
  if (!holding) await cleanUp((error) => narrator.fail(error));

  let code = exitCode(narrator, halt, failure, cleanupFailed);
  if (flags.svg !== undefined && halt === undefined) {
    const problem = await writePicture(narrator, flags.svg, code);
    if (problem !== undefined) {
      narrator.fail(problem);
      code ||= 1;
    }
  }
  const outcome: EndEvent['outcome'] =
    halt !== undefined && halt.kind !== 'fatal' ? 'interrupted' : failure === undefined ? 'told' : 'failed';
  narrator.emit(
    {
      type: 'end',
      seed: narrator.seed,
      held: narrator.held,
      verdicts: narrator.verdicts,
      skipped: narrator.skipped,
      exitCode: code,
      outcome,
      next: outcome === 'told' ? narrator.nextSteps : [],
    },
    0,
  );
  await Promise.race([sink.shown(), halted.promise]);

  if (holding) {
    const lines = narrator.servers.flatMap((s) => [s.banner, ...s.inspect.map((line) => `    ${line}`)]);
    const text = ['  Look inside, then Ctrl-C:', ...lines.map((line) => `  ${line}`), ''].join('\n');
    if (flags.json) process.stderr.write(`${text}\n`);
    else write(`${text}\n`);
    // The servers may be of another process: something of our own must keep this one alive.
    const alive = setInterval(() => {}, 60_000);
    await halted.promise;
    clearInterval(alive);
    stop.abort(new StoryError('the story was stopped'));
    await cleanUp((error) => process.stderr.write(`${error.message}\n`));
    if (code === 0 && cleanupFailed) code = 1;
  }

  globalThis.console = console;
  process.exitCode = code;
  await flush();
  if (halt !== undefined) process.exit(code);
  for (const [name, listener] of listeners) process.off(name, listener);
  diagnostics.unsubscribe(SERVICES, hearProgress);
  setTimeout(endLingering, LINGER_MS, code).unref();
  process.off('beforeExit', leave);
  process.on('beforeExit', leave);
}

/** Nothing is left to do. Node 24 was seen to spin for ever while it took such a process apart, in `CleanupHandles`. */
const leave = () => process.exit();

/** Resolves to undefined when all was told, else to what was thrown. */
async function play(
  narrator: Narrator,
  body: (story: Story) => Promise<void>,
): Promise<{ error: unknown } | undefined> {
  try {
    const done = body(narrator);
    if (!isPromise(done)) throw new StoryError('the body of a story is an async function');
    await done;
    const open = narrator.openScene;
    if (open !== undefined)
      throw new StoryError(`the story ended inside scene "${open}": write \`await story.scene(…)\``);
    return undefined;
  } catch (error) {
    return { error };
  }
}

function exitCode(
  narrator: Narrator,
  halt: Halt | undefined,
  failure: { error: unknown } | undefined,
  cleanupFailed: boolean,
): number {
  if (halt?.kind === 'signal') return halt.code;
  if (halt?.kind === 'pipe') return SIGPIPE_CODE;
  if (failure !== undefined) return exitCodeOf(failure.error) ?? 1;
  return narrator.verdicts > 0 && narrator.held === narrator.verdicts && !cleanupFailed ? 0 : 1;
}

async function writePicture(narrator: Narrator, dir: string, code: number): Promise<unknown> {
  if (code !== 0) return new StoryError('--svg: picture.svg is not written, because the story failed');
  if (narrator.picture === undefined) return new StoryError('--svg: no chart of this story is marked `picture: true`');
  try {
    const { savePicture } = await import('./svg/save.ts');
    await savePicture(narrator.picture, dir);
    return undefined;
  } catch (error) {
    return error;
  }
}

function makeSink(flags: Flags, write: (text: string) => void, interrupt: () => void): Sink {
  const out = process.stdout;
  const dumb = process.env['TERM'] === 'dumb';
  const text = textSink({
    write,
    color: flags.color ?? wantsColor(),
    columns: () => flags.width ?? (out.isTTY ? Math.min(WIDEST_TERMINAL, out.columns || DEFAULT_WIDTH) : DEFAULT_WIDTH),
    live: out.isTTY && !dumb,
  });
  const sink = flags.json ? jsonSink(write) : text;
  if (!flags.slow) return sink;
  const keys = process.stdin.isTTY && out.isTTY && !flags.json && !dumb;
  return slowSink(sink, keys ? (signal) => keyPress(signal, write, interrupt) : pauseFor);
}

/** NO_COLOR and FORCE_COLOR (0 turns it off) go before what the terminal says. */
function wantsColor(): boolean {
  const { env } = process;
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false;
  const force = env['FORCE_COLOR'];
  if (force !== undefined) return force !== '0' && force !== 'false';
  return process.stdout.isTTY && env['TERM'] !== 'dumb';
}

function pauseFor(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, PAUSE_MS);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      done();
    });
  });
}

function keyPress(signal: AbortSignal, write: (text: string) => void, interrupt: () => void): Promise<void> {
  const { stdin } = process;
  const restore = () => stdin.setRawMode(false);
  write('\n  \u001b[2m▸\u001b[22m');
  stdin.setRawMode(true);
  process.once('exit', restore);
  stdin.resume();
  return new Promise((done) => {
    const end = () => {
      stdin.off('data', pressed);
      signal.removeEventListener('abort', end);
      stdin.pause();
      restore();
      process.off('exit', restore);
      write('\r\u001b[2K\u001b[1A');
      done();
    };
    const pressed = (key: Buffer) => {
      end();
      // In raw mode Ctrl-C is a key like any other.
      if (key.includes(3)) interrupt();
    };
    stdin.on('data', pressed);
    signal.addEventListener('abort', end, { once: true });
  });
}

/** What was written is out: process.exit() would drop what an asynchronous stream still holds. */
async function flush(): Promise<void> {
  const drained = (stream: NodeJS.WriteStream) =>
    new Promise<void>((done) => {
      if (stream.destroyed || !stream.writable) done();
      else stream.write('', () => done());
    });
  await within(Promise.all([drained(process.stdout), drained(process.stderr)]), FLUSH_MS);
}

function hearProgress(said: unknown): void {
  if (typeof said !== 'object' || said === null || !('line' in said) || !('kind' in said)) return;
  if (said.kind === 'progress') process.stderr.write(`  ${said.line}\n`);
}

function endLingering(code: number): void {
  const open = process.getActiveResourcesInfo().filter((name) => !/^(TTYWrap|PipeWrap|Timeout)$/.test(name));
  const what = [...new Set(open)].join(', ') || 'something';
  process.stderr.write(`the story is over, but ${what} still holds the process open: close what the demo opened\n`);
  process.exit(code);
}
