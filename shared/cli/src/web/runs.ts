import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { isChart, parseEvent, renderSvg, type StoryEvent } from '@shared/story/read';
import type { LearnKey, Message, RunRequest } from '@shared/web';
import { readPitfalls } from '../anatomy.ts';
import { examplesOf } from '../commands/run.ts';
import { UsageError } from '../errors.ts';
import { defaultImpl } from '../grading.ts';
import type { Lab } from '../labs.ts';
import { parseScript, spawnGuarded } from '../process.ts';

/** Runs at the same time: each may start servers. */
const atMost = 4;
/** Milliseconds that a run goes on while nobody looks: a page is loaded anew, a connection comes back. */
const unseenMs = 2_000;
/** Milliseconds from SIGTERM to SIGKILL: a demo has servers to end. */
const graceMs = 5_000;
/** Milliseconds that what was told is kept after the end. */
const keptMs = 60_000;
/** Milliseconds from the end of a run to the end of what it printed: a process of its own may hold on to that. */
const drainMs = 1_000;
/** Characters of stderr that are shown. */
const stderrMost = 4_000;
/** Bytes that a story or a suite may tell: all of it is kept, here and in the pages. */
const toldMost = 32_000_000;

/** There are as many runs as the machine bears. */
export class TooManyRunsError extends Error {
  override readonly name = 'TooManyRunsError';
  constructor() {
    super(`${atMost} runs are under way, which is all that run at once: stop one of them`);
  }
}

interface Run {
  readonly child: ChildProcess;
  /** With a gap where a later page of a session has taken the place of an earlier one. */
  readonly messages: (Message | undefined)[];
  readonly followers: Set<(message: Message, place: number) => void>;
  readonly ended: Promise<void>;
  unseen: NodeJS.Timeout | undefined;
  over: boolean;
}

/** The programs that the pages have started: each lives as long as somebody looks at it. */
export class Runs {
  readonly #runs = new Map<string, Run>();
  readonly #told: (lab: Lab, messages: readonly Message[]) => void;

  /** @param told is given what a demo told, once it is told to its end. */
  constructor(told: (lab: Lab, messages: readonly Message[]) => void = () => {}) {
    this.#told = told;
  }

  /**
   * @returns the run's id.
   * @throws {UsageError} where the lab has no such example, pitfall or law.
   * @throws {TooManyRunsError}
   */
  async start(lab: Lab, request: RunRequest): Promise<string> {
    const command = await commandOf(lab, request);
    if ([...this.#runs.values()].filter(({ over }) => !over).length >= atMost) throw new TooManyRunsError();
    const id = randomUUID();
    const run = launch(lab, command, (messages) => {
      if (request.kind === 'demo' && request.example === undefined) this.#told(lab, messages);
    });
    this.#runs.set(id, run);
    this.#watch(run);
    void run.ended.then(() => setTimeout(() => this.#runs.delete(id), keptMs).unref());
    return id;
  }

  /**
   * Calls `send` with every message from number `from` on, those of the past at once.
   * @returns what ends that; undefined where there is no such run (any more), or nothing left of it.
   */
  follow(id: string, from: number, send: (message: Message, place: number) => void): (() => void) | undefined {
    const run = this.#runs.get(id);
    if (run === undefined || (run.over && from >= run.messages.length)) return undefined;
    clearTimeout(run.unseen);
    run.messages.forEach((message, place) => {
      if (place >= from && message !== undefined) send(message, place);
    });
    if (run.over) return () => {};
    run.followers.add(send);
    return () => {
      run.followers.delete(send);
      this.#watch(run);
    };
  }

  /** Hands a key to a session of `learn`. */
  press(id: string, key: LearnKey): boolean {
    const run = this.#runs.get(id);
    if (run === undefined || run.over || !run.child.stdin) return false;
    run.child.stdin.write(key);
    return true;
  }

  /** Resolves once the run and the servers that it started are gone. */
  async stop(id: string): Promise<boolean> {
    const run = this.#runs.get(id);
    if (run === undefined) return false;
    await end(run);
    return true;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#runs.values()].map(end));
  }

  #watch(run: Run): void {
    clearTimeout(run.unseen);
    if (run.followers.size > 0 || run.over) return;
    run.unseen = setTimeout(() => void end(run), unseenMs);
  }
}

async function end(run: Run): Promise<void> {
  clearTimeout(run.unseen);
  if (!run.over) {
    run.child.kill('SIGTERM');
    const kill = setTimeout(() => run.child.kill('SIGKILL'), graceMs);
    await run.ended;
    clearTimeout(kill);
  }
}

/** What a story told last; undefined where it told nothing. */
export const lastEvent = (messages: readonly Message[]): StoryEvent | undefined =>
  messages.findLast((message) => message.type === 'story')?.event;

/** When it was told, in seconds with one decimal. */
export const secondsAt = ({ at }: StoryEvent): number => Math.round(at / 100) / 10;

interface Command {
  readonly cwd: string;
  /** Flags for Node, the file, and its arguments. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Its keys are handed over. */
  readonly keys?: true;
  /** It prints a story's events, not messages. */
  readonly story?: true;
}

const childOf = (file: string): string => fileURLToPath(new URL(`./${file}`, import.meta.url));

async function commandOf(lab: Lab, request: RunRequest): Promise<Command> {
  switch (request.kind) {
    case 'demo': {
      const { example, seed } = request;
      const { flags, file, args } = parseScript(lab.demo, `scripts.demo of ${lab.name}`);
      if (example !== undefined && !(await examplesOf(lab.dir)).includes(example))
        throw new UsageError(`"${lab.name}" has no example "${example}"`);
      const told = example === undefined ? [file, ...args] : [join('examples', `${example}.ts`)];
      const seeded = seed === undefined ? [] : ['--seed', String(seed)];
      return { cwd: lab.dir, args: [...flags, ...told, '--json', ...seeded], story: true };
    }
    case 'suite': {
      const { pitfall, law } = request;
      const found = (await readPitfalls(lab.dir)).find(({ name }) => name === pitfall);
      if (pitfall !== undefined && found === undefined)
        throw new UsageError(`"${lab.name}" has no pitfall "${pitfall}"`);
      const words = [found?.file ?? defaultImpl, ...(law === undefined ? [] : [law])];
      return { cwd: lab.dir, args: [childOf('suite-child.ts'), ...words] };
    }
    case 'learn':
      // The page shows colours, whatever our own output is.
      return {
        cwd: lab.dir,
        args: [childOf('learn-child.ts'), lab.name],
        env: { LABS_ROOT: resolve(lab.dir, '../../..'), FORCE_COLOR: '1' },
        keys: true,
      };
  }
}

function launch(lab: Lab, command: Command, told: (messages: readonly Message[]) => void): Run {
  const { NO_COLOR: _, ...env } = process.env;
  const child = spawnGuarded(command.args, {
    cwd: command.cwd,
    env: { ...(command.env?.['FORCE_COLOR'] === undefined ? process.env : env), ...command.env },
    stdio: [command.keys ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  const messages: (Message | undefined)[] = [];
  const followers: Run['followers'] = new Set();
  const send = (message: Message): void => {
    // A session lasts for hours, and has but one page and one line below it.
    if (message.type === 'page' || message.type === 'status') {
      const earlier = messages.findLastIndex((each) => each?.type === message.type);
      if (earlier >= 0) messages[earlier] = undefined;
    }
    messages.push(message);
    for (const follower of followers) follower(message, messages.length - 1);
  };
  let stderr = '';
  const complain = (text: string): void => {
    stderr = `${stderr}${text}`.slice(-stderrMost);
  };
  child.stderr?.on('data', (chunk: Buffer) => complain(chunk.toString()));
  child.stdin?.on('error', () => {});
  const { stdout } = child;
  if (stdout) {
    let bytes = 0;
    stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (command.keys || bytes <= toldMost) return;
      complain(`it told more than ${toldMost / 1e6} MB, and was ended`);
      stdout.destroy();
      child.kill('SIGKILL');
    });
    createInterface({ input: stdout }).on('line', (line) => {
      try {
        send(command.story ? toStory(line) : toMessage(line));
      } catch (error) {
        complain(`${error instanceof Error ? error.message : error}\n`);
      }
    });
  }
  const ended = new Promise<void>((resolve) => {
    const over = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (run.over) return;
      run.over = true;
      clearTimeout(run.unseen);
      for (const stream of [child.stdout, child.stderr]) stream?.destroy();
      if (signal !== null && signal !== 'SIGTERM') complain(`\nit was ended by ${signal}`);
      send({ type: 'ended', code, stderr });
      followers.clear();
      if (code === 0) told(messages.filter((message) => message !== undefined));
      resolve();
    };
    child.once('error', (error) => {
      complain(`${lab.name} did not start: ${error.message}`);
      over(null, null);
    });
    child.once('exit', (code, signal) => setTimeout(over, drainMs, code, signal));
    child.once('close', over);
  });
  const run: Run = { child, messages, followers, ended, unseen: undefined, over: false };
  return run;
}

/** What our own programs tell; what else is printed there by a suite is none of it. */
function toMessage(line: string): Message {
  const message = JSON.parse(line);
  if (typeof message?.type === 'string') return message;
  throw new Error(`not a message: ${line}`);
}

function toStory(line: string): Message {
  const event = parseEvent(line);
  return isChart(event) ? { type: 'story', event, svg: renderSvg(event) } : { type: 'story', event };
}
