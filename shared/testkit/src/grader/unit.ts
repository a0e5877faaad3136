import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import type { Plugin, ViteUserConfig } from 'vitest/config';
import type { CliOptions, TestUserConfig } from 'vitest/node';
import { createVitest } from 'vitest/node';
import { reporter } from '../reporter.ts';
import type { TraceEvent } from '../trace.ts';
import { isTypeTest, typeTests } from '../type-tests.ts';
import { LabWorker } from './lab-worker.ts';
import { referenceOf } from './lessor.ts';
import { killGroup, type RunRequest } from './messages.ts';
import type { Report } from './report.ts';
import { removeScratch, scratchFolder } from './scratch.ts';
import { Tail } from './tail.ts';
import { type Hang, Watch } from './watch.ts';

const kit = resolve(import.meta.dirname, '../..');
const shared = resolve(kit, '..');

export interface UnitOptions {
  readonly root: string;
  /** The test files, relative to `root`: all are type tests, or none is. */
  readonly files: readonly string[];
  readonly request: RunRequest;
  /** For the workers, beside what vitest and the package's own configuration say. */
  readonly env: Readonly<Record<string, string>>;
  /** Matches the full names of the tests that are wanted. */
  readonly filter: RegExp | undefined;
  readonly report: Report;
  readonly own: ViteUserConfig;
  readonly onOutput: (text: string) => void;
  readonly onGroup: (pid: number, up: boolean) => void;
}

/** Test files of a suite on one implementation: a vitest of its own with processes of its own, and a watch over them. */
export class Unit {
  readonly #options: UnitOptions;
  readonly #watch: Watch;
  readonly #groups = new Set<number>();
  #cut = false;

  constructor(options: UnitOptions) {
    this.#options = options;
    this.#watch = new Watch(options.request.blockedMs, options.request.loadMs);
  }

  async run(): Promise<void> {
    const { report } = this.#options;
    const scratch = await scratchFolder();
    const trace = join(scratch, 'trace.jsonl');
    using tail = new Tail(trace);
    const hear = (): void => {
      for (const event of tail.read()) this.#take(event);
    };
    const timer = setInterval(() => {
      hear();
      const hang = this.#watch.hang();
      if (hang) this.cut(hang);
    }, 100);
    try {
      await this.#vitest(scratch, trace, (event) => {
        // What the tests wrote comes before what vitest says of them.
        hear();
        this.#take(event);
      });
      hear();
    } catch (error) {
      if (!this.#cut) report.take({ type: 'problem', text: `the suite did not start: ${error}` });
    } finally {
      clearInterval(timer);
      for (const pid of this.#groups) killGroup(pid);
      await removeScratch(scratch);
    }
  }

  /** Ends it now; nothing more is heard of it. With `hang` the test that runs, or the file, is blamed. */
  cut(hang?: Hang): void {
    if (this.#cut) return;
    this.#cut = true;
    const { report, request } = this.#options;
    if (hang?.running) {
      const { id, name } = hang.running;
      report.add({ name, path: [], file: '', state: 'failed', ms: request.blockedMs, error: hang.why }, id);
    } else if (hang) report.take({ type: 'problem', text: hang.why });
    for (const pid of this.#groups) killGroup(pid);
  }

  get files(): readonly string[] {
    return this.#options.files;
  }

  get isCut(): boolean {
    return this.#cut;
  }

  /** The test that runs now. */
  get running(): Hang['running'] {
    return this.#watch.running;
  }

  /** Whether it waits for servers. */
  get starting(): boolean {
    return this.#watch.starting;
  }

  /** Whether it has come to its first test: it has what it needs. */
  get begun(): boolean {
    return this.#watch.begun;
  }

  #take(event: TraceEvent): void {
    if (this.#cut) return;
    this.#watch.take(event);
    this.#options.report.take(event);
  }

  async #vitest(scratch: string, trace: string, tell: (event: TraceEvent) => void): Promise<void> {
    const { root, files, request, env, filter, own, onOutput, onGroup } = this.#options;
    const impl = request.impl === undefined ? undefined : resolve(root, request.impl);
    const types = files.some(isTypeTest);
    const { test: ownTest, ...ownVite } = own;
    const { testTimeout = 5000, hookTimeout = 10_000 } = ownTest ?? {};
    const pool: TestUserConfig['pool'] = {
      name: 'lab',
      createPoolWorker: (options) =>
        new LabWorker(options, {
          cwd: root,
          // What a test that is cut off leaves in the temporary folder goes with it.
          env: {
            ...env,
            ...resolvedBefore(root),
            LAB_TRACE: trace,
            LAB_TIMEOUTS: `${testTimeout} ${hookTimeout}`,
            TMPDIR: scratch,
          },
          output: onOutput,
          onGroup: (pid, up) => {
            if (up) this.#groups.add(pid);
            onGroup(pid, up);
            if (up && this.#cut) killGroup(pid);
          },
        }),
    };
    const options: CliOptions = {
      root,
      config: false,
      watch: false,
      include: ['test/**/*.test.ts'],
      setupFiles: [resolve(kit, 'src/setup.ts')],
      pool,
      maxWorkers: 2,
      teardownTimeout: 2000,
      reporters: [reporter(root, tell)],
      allowOnly: !process.env['CI'],
      cache: false,
      retry: request.attempts - 1,
      server: { deps: { external: [sharedSource(root)] } },
      ...ownTest,
      ...(types ? { typecheck: typeTests(root, files, impl, scratch) } : {}),
    };
    const vite: ViteUserConfig = {
      ...ownVite,
      plugins: [...(ownVite.plugins ?? []), implementation(root, impl)],
    };
    const sink = new Writable({
      write: (chunk, _encoding, done) => {
        onOutput(String(chunk));
        done();
      },
    });
    const vitest = await createVitest(options, vite, { stdout: sink, stderr: sink });
    try {
      const project = vitest.getRootProject();
      const wanted = filter === undefined ? {} : { testNamePattern: filter };
      const specifications = files.map((file) =>
        project.createSpecification(resolve(root, file), wanted, types ? 'typescript' : 'lab'),
      );
      await vitest.runTestSpecifications(specifications);
    } finally {
      await vitest.close();
    }
  }
}

/**
 * Makes `#lab` a module of its own, which hands on `impl`, or what the package's import map says. It was an alias, which is
 * in the key of every module that vitest keeps transformed: the whole lab was transformed anew for each of its pitfalls.
 */
function implementation(root: string, impl: string | undefined): Plugin {
  const id = '\0lab:implementation';
  return {
    name: 'lab:handed-on',
    enforce: 'pre',
    resolveId: (asked) => (asked === '#lab' ? id : undefined),
    load: (asked) => {
      if (asked !== id) return undefined;
      const own = () => resolve(root, referenceOf(join(root, 'package.json')) ?? '');
      return `export * from ${JSON.stringify(impl ?? own())};`;
    },
  };
}

/**
 * The source of the house's other packages. Node loads it as it is, compiled once for all workers: through vite it would
 * be transformed anew for each unit, and a hundred files of it belong to every lab with a server.
 */
function sharedSource(root: string): RegExp {
  const own = root.startsWith(shared) ? `(?!${RegExp.escape(relative(shared, root))}/)` : '';
  return new RegExp(`^${RegExp.escape(shared)}/${own}[^/]+/src/`);
}

/** Where a package's workers keep what they found; of one that is not the house's, nobody does. */
function resolvedBefore(root: string): Record<string, string> {
  const house = resolve(shared, '..');
  const name = relative(house, root);
  if (name.startsWith('..')) return {};
  return { LAB_RESOLVED: join(house, 'node_modules/.cache/resolved', `${name.replaceAll('/', '-')}.json`) };
}

/** What the package's own vitest.config.ts adds to the preset: a transform, a global setup. */
export async function ownConfig(root: string): Promise<ViteUserConfig> {
  const file = join(root, 'vitest.config.ts');
  if (!existsSync(file)) return {};
  const module: { default: ViteUserConfig } = await import(pathToFileURL(file).href);
  return module.default;
}
