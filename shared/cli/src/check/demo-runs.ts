import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseEvent, type StoryEvent } from '@shared/story/read';
import { exit } from '../errors.ts';
import { isMissing, type Lab } from '../labs.ts';
import { type NodeCommand, parseScript } from '../process.ts';
import { exec, type Output } from './exec.ts';
import { pooled } from './pooled.ts';

/** Most of a demo's time it waits, on purpose. */
const atOnce = 3;

/** One run of a demo or an example, told as events. */
export interface DemoRun {
  /** Relative to the lab: `demo.ts`, `examples/watchdog.ts`. */
  readonly file: string;
  readonly events: readonly StoryEvent[];
  readonly ms: number;
  /** Others ran at the same time: `ms` is not its own. */
  readonly inCompany: boolean;
  readonly outcome: 'told' | 'failed' | 'missing-server' | 'hung';
  /** What it said when it did not go well: the tail of its stderr, its error, the verdicts that did not hold. */
  readonly evidence: string;
}

/** Keeps what every demo told: several gates read the same run. */
export interface Demos {
  /** Alone, where it has not been told well in company: demos measure, and two at once measure each other. */
  of(lab: Lab): Promise<readonly DemoRun[]>;
  /** Tells several at once, the first time that it is asked. What goes wrong there is not kept. */
  together(labs: readonly Lab[]): Promise<void>;
  /** Milliseconds of those that have been told, by the lab's folder. */
  readonly known: ReadonlyMap<string, number>;
}

export interface DemoOptions {
  /** Folder that gets the demo's picture.svg. Default: none is drawn. */
  readonly svg?: (lab: Lab) => string;
  /** Milliseconds until a story is killed. Default 300 000. */
  readonly timeoutMs?: number;
}

export function demoRuns(options: DemoOptions = {}): Demos {
  const runs = new Map<string, Promise<readonly DemoRun[]>>();
  const told = new Map<string, number>();
  let company: Promise<void> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  const keep = (lab: Lab, all: readonly DemoRun[]): void => {
    told.set(lab.dir, Math.round(all.reduce((sum, { ms }) => sum + ms, 0)));
  };
  /** One after the other, whoever asks. */
  const next = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return done;
  };
  return {
    known: told,
    of(lab) {
      const known = runs.get(lab.dir);
      if (known) return known;
      const run = next(async () => {
        const all = await runAll(lab, options, false);
        keep(lab, all);
        return all;
      });
      runs.set(lab.dir, run);
      return run;
    },
    together(labs) {
      company ??= next(async () => {
        await pooled(labs, labs.length > 1 ? atOnce : 0, async (lab) => {
          const all = await runAll(lab, options, true);
          if (!all.every(isWell)) return;
          keep(lab, all);
          runs.set(lab.dir, Promise.resolve(all));
        });
      });
      return company;
    },
  };
}

const isWell = ({ outcome }: DemoRun): boolean => outcome === 'told';

async function runAll(lab: Lab, options: DemoOptions, inCompany: boolean): Promise<readonly DemoRun[]> {
  const demo = parseScript(lab.demo, `scripts.demo of ${lab.name}`);
  const drawn = options.svg ? ['--svg', options.svg(lab)] : [];
  const command = { ...demo, args: [...demo.args, ...drawn] };
  const done: DemoRun[] = [{ ...(await tellStory(lab, command, options)), inCompany }];
  // An example needs the same loader as the demo.
  for (const file of await examplesOf(lab)) {
    done.push({ ...(await tellStory(lab, { ...demo, file, args: [] }, options)), inCompany });
  }
  return done;
}

async function examplesOf(lab: Lab): Promise<string[]> {
  try {
    const names = await readdir(join(lab.dir, 'examples'));
    return names.filter((name) => name.endsWith('.ts')).map((name) => `examples/${name}`);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function tellStory(
  lab: Lab,
  { flags, file, args }: NodeCommand,
  options: DemoOptions,
): Promise<Omit<DemoRun, 'inCompany'>> {
  const output = await exec(process.execPath, [...flags, file, ...args, '--json', '--seed', '1'], {
    cwd: lab.dir,
    timeoutMs: options.timeoutMs ?? 300_000,
  });
  const { events, stray } = readEvents(output.stdout);
  const outcome = output.timedOut
    ? 'hung'
    : output.code === exit.missingServer
      ? 'missing-server'
      : output.code === 0 && stray === undefined && events.at(-1)?.type === 'end'
        ? 'told'
        : 'failed';
  return {
    file: relative(lab.dir, join(lab.dir, file)),
    events,
    ms: output.ms,
    outcome,
    evidence: outcome === 'told' ? '' : evidenceOf(output, events, stray),
  };
}

function readEvents(stdout: string): { events: readonly StoryEvent[]; stray: string | undefined } {
  const events: StoryEvent[] = [];
  for (const line of stdout.split('\n')) {
    if (line.trim() === '') continue;
    try {
      events.push(parseEvent(line));
    } catch {
      return { events, stray: line };
    }
  }
  return { events, stray: undefined };
}

function evidenceOf({ code, stderr, timedOut, ms }: Output, events: readonly StoryEvent[], stray?: string): string {
  const said = events.flatMap((event) => {
    if (event.type === 'verdict' && !event.holds) return [`does not hold: ${event.claim} (${event.measured})`];
    if (event.type === 'error') return [`${event.name}: ${event.message}`, ...event.frames.slice(0, 2)];
    return [];
  });
  return [
    timedOut ? `killed after ${Math.round(ms / 1000)} s` : `exit code ${code}`,
    ...said,
    ...(stray === undefined ? [] : [`on stdout, which holds events alone with --json: ${stray.slice(0, 200)}`]),
    ...(said.length === 0 && stderr.trim() !== '' ? stderr.trim().split('\n').slice(-8) : []),
  ].join('\n');
}
