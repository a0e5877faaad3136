// The process that runs the suites of one package (its working directory) for whoever opened a grader: vitest lives here,
// and the servers; what is graded never does. It ends with its parent.
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { serversStart } from '../describe-with.ts';
import { isTypeTest, typeTestFiles } from '../type-tests.ts';
import { Deadline } from './deadline.ts';
import { Lanes } from './lanes.ts';
import { lessorOf } from './lessor.ts';
import { type FromHost, killGroup, type RunRequest, type ToHost } from './messages.ts';
import { Report } from './report.ts';
import { sweepScratch } from './scratch.ts';
import { ownConfig, Unit } from './unit.ts';

const root = process.cwd();
const kit = resolve(import.meta.dirname, '../..');
const lanes = new Lanes(Number(process.argv[2] ?? 2));
const groups = new Set<number>();
const atWork = new Set<Unit>();
const runs = new Map<number, AbortController>();
const own = ownConfig(root);
const lessor = lessorOf(root, process.argv[3] === 'ahead');
for (const each of [own, lessor]) each.catch(() => {});
sweepScratch().catch(() => {});

process.on('message', (message: ToHost) => {
  if (message.type === 'cancel') {
    runs.get(message.id)?.abort();
    return;
  }
  const { id, request } = message;
  const stop = new AbortController();
  runs.set(id, stop);
  run(id, request, stop.signal)
    .catch((error: unknown) => tell({ type: 'broken', id, why: error instanceof Error ? error.message : `${error}` }))
    .finally(() => runs.delete(id));
});
process.once('disconnect', async () => {
  for (const pid of groups) killGroup(pid);
  await Promise.allSettled([lessor.then((open) => open?.[Symbol.asyncDispose]())]);
  // The group is ours: type checks run in it.
  killGroup(process.pid);
});

function tell(message: FromHost): void {
  if (process.connected) process.send?.(message);
}

async function run(id: number, request: RunRequest, signal: AbortSignal): Promise<void> {
  const units: Unit[] = [];
  let complete = true;
  const cut = (): void => {
    complete = false;
    for (const unit of units) unit.cut();
  };
  const report = new Report(
    (test) => {
      tell({ type: 'test', id, test });
      if (request.bail && test.state === 'failed') stop.abort();
    },
    (text) => tell({ type: 'output', id, text }),
  );
  const stop = new AbortController();
  const over = AbortSignal.any([signal, stop.signal]);
  over.addEventListener('abort', cut);
  const config = await own;
  const env = workerEnvironment({ ...request, env: { ...request.env, ...(await lessor)?.env } });
  // A global setup is for the whole suite: its files stay together.
  const together = config.test?.globalSetup !== undefined;
  let deadline: Deadline | undefined;
  let start: number | undefined;
  await Promise.all(
    grouped(request.files ?? filesNaming(request.names ?? []), together).map(async (files) => {
      using _lane = await lanes.enter(() => beginsElsewhere(files));
      if (over.aborted) return;
      start ??= performance.now();
      const late = (): void => {
        const why = `the run was not done after ${request.deadlineMs / 1000} s`;
        const busy = units.find(({ running }) => running) ?? units.at(-1);
        if (busy) busy.cut({ why, running: busy.running });
        else report.take({ type: 'problem', text: why });
        stop.abort();
      };
      deadline ??= new Deadline(request.deadlineMs, () => units.some(({ starting }) => starting), late);
      const unit = new Unit({
        root,
        files,
        request,
        env,
        filter: filterFor(request.names),
        report,
        own: config,
        onOutput: (text) => tell({ type: 'output', id, text }),
        onGroup: (pid, up) => {
          if (up) groups.add(pid);
          else groups.delete(pid);
          tell({ type: 'group', pid, up });
        },
      });
      units.push(unit);
      atWork.add(unit);
      await unit.run();
      atWork.delete(unit);
      if (unit.isCut) complete = false;
      units.splice(units.indexOf(unit), 1);
    }),
  );
  deadline?.[Symbol.dispose]();
  over.removeEventListener('abort', cut);
  tell({ type: 'result', id, result: report.result(request.names, complete, performance.now() - (start ?? 0)) });
}

function testFiles(): readonly string[] {
  return [...globSync('test/**/*.test.ts', { cwd: root }), ...globSync(typeTestFiles, { cwd: root })].sort();
}

/**
 * Whether one of these files is about to begin on another implementation, and waits for its servers, maybe: meanwhile a lane
 * has better use.
 */
function beginsElsewhere(files: readonly string[]): boolean {
  return [...atWork].some((unit) => !unit.begun && unit.files.some((file) => files.includes(file)));
}

/** The files that have these names in their text; all of them where a name is not written out in any. */
function filesNaming(names: readonly string[]): readonly string[] {
  const all = testFiles();
  if (names.length === 0) return all;
  const texts = new Map(all.map((file) => [file, readFileSync(resolve(root, file), 'utf8')]));
  const found = names.map((name) => all.filter((file) => texts.get(file)?.includes(name)));
  return found.every(({ length }) => length > 0) ? [...new Set(found.flat())] : all;
}

function grouped(files: readonly string[], together: boolean): readonly (readonly string[])[] {
  const types = files.filter(isTypeTest);
  const laws = files.filter((file) => !isTypeTest(file));
  return [...(together ? [laws] : laws.map((file) => [file])), types].filter((group) => group.length > 0);
}

/** With the tests that are wanted runs the one that says why none of them can. */
function filterFor(names: readonly string[] | undefined): RegExp | undefined {
  if (names === undefined) return undefined;
  return new RegExp(`(^| )(?:${[serversStart, ...names].map((name) => RegExp.escape(name)).join('|')})$`);
}

function workerEnvironment({ impl, env }: RunRequest): Record<string, string> {
  if (impl === undefined) return { ...env };
  const hook = pathToFileURL(resolve(kit, 'src/impl-hook.ts')).href;
  return {
    ...env,
    LAB_IMPL: resolve(root, impl),
    // For the processes and worker threads that a test starts: vitest's alias does not reach them.
    NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import=${hook}`.trim(),
  };
}
