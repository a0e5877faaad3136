import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseEvent, type StoryEvent } from '@shared/story/read';
import { exit } from '../errors.ts';
import { isMissing, type Lab } from '../labs.ts';
import { type NodeCommand, parseScript } from '../process.ts';
import { exec, type Output } from './exec.ts';

/** One run of a demo or an example, told as events. */
export interface DemoRun {
  /** Relative to the lab: `demo.ts`, `examples/watchdog.ts`. */
  readonly file: string;
  readonly events: readonly StoryEvent[];
  readonly ms: number;
  readonly outcome: 'told' | 'failed' | 'missing-server' | 'hung';
  /** What it said when it did not go well: the tail of its stderr, its error, the verdicts that did not hold. */
  readonly evidence: string;
}

/** Runs every demo at most once: several gates read the same run. */
export interface Demos {
  of(lab: Lab): Promise<readonly DemoRun[]>;
  /** Milliseconds of those that have been told, by the lab's folder. */
  readonly known: ReadonlyMap<string, number>;
}

export interface DemoOptions {
  /** Folder that gets the demo's picture.svg. Default: none is drawn. */
  readonly svg?: (lab: Lab) => string;
  /** Milliseconds until a story is killed. Default 120 000. */
  readonly timeoutMs?: number;
}

/** One at a time: demos measure, and two at once would measure each other. */
export function demoRuns(options: DemoOptions = {}): Demos {
  const runs = new Map<string, Promise<readonly DemoRun[]>>();
  const told = new Map<string, number>();
  let last: Promise<unknown> = Promise.resolve();
  return {
    known: told,
    of(lab) {
      const known = runs.get(lab.dir);
      if (known) return known;
      const run = last.then(async () => {
        const all = await runAll(lab, options);
        told.set(lab.dir, Math.round(all.reduce((sum, { ms }) => sum + ms, 0)));
        return all;
      });
      last = run.catch(() => undefined);
      runs.set(lab.dir, run);
      return run;
    },
  };
}

async function runAll(lab: Lab, options: DemoOptions): Promise<readonly DemoRun[]> {
  const demo = parseScript(lab.demo, `scripts.demo of ${lab.name}`);
  const drawn = options.svg ? ['--svg', options.svg(lab)] : [];
  const done: DemoRun[] = [await tellStory(lab, { ...demo, args: [...demo.args, ...drawn] }, options)];
  // An example needs the same loader as the demo.
  for (const file of await examplesOf(lab)) done.push(await tellStory(lab, { ...demo, file, args: [] }, options));
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

async function tellStory(lab: Lab, { flags, file, args }: NodeCommand, options: DemoOptions): Promise<DemoRun> {
  const output = await exec(process.execPath, [...flags, file, ...args, '--json', '--seed', '1'], {
    cwd: lab.dir,
    timeoutMs: options.timeoutMs ?? 120_000,
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
