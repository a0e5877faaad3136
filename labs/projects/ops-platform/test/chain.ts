import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { startFolder } from '@shared/services';
import { until } from '@shared/testkit';
import { Pool } from 'pg';
import type * as Lab from '../src/index.ts';

export interface ChainOptions {
  readonly lab: Pick<typeof Lab, 'Agent' | 'AuditLog' | 'Controller' | 'Machine' | 'Ops' | 'SCHEMA' | 'opsApi'>;
  readonly postgres: string;
  /** Of the tables of this chain alone. */
  readonly schema: string;
  /** What the agents' processes take their Machine from. Default src/. */
  readonly impl?: string;
}

interface Made {
  readonly lab: ChainOptions['lab'];
  readonly pool: Pool;
  readonly ops: Lab.Ops;
  readonly url: string;
  readonly folder: string;
  readonly impl: string;
  readonly errors: unknown[];
}

/** A chain of supermarkets: its head office, and machines that are folders. */
export class Chain implements AsyncDisposable {
  readonly #made: Made;
  readonly #bin: AsyncDisposableStack;

  private constructor(made: Made, bin: AsyncDisposableStack) {
    this.#made = made;
    this.#bin = bin;
  }

  get ops(): Lab.Ops {
    return this.#made.ops;
  }
  get pool(): Pool {
    return this.#made.pool;
  }
  get url(): string {
    return this.#made.url;
  }
  get folder(): string {
    return this.#made.folder;
  }
  /** Of controllers, agents and the API. */
  get errors(): readonly unknown[] {
    return this.#made.errors;
  }

  static async open({ lab, postgres, schema, impl = '' }: ChainOptions) {
    const bin = new AsyncDisposableStack();
    const folder = bin.use(await startFolder('ops'));
    const connectionString = `${postgres}${postgres.includes('?') ? '&' : '?'}options=-c%20search_path%3D${schema}`;
    const pool = bin.adopt(new Pool({ connectionString, max: 6 }), (it) => it.end());
    pool.on('error', () => {});
    await pool.query(`CREATE SCHEMA IF NOT EXISTS ${schema}; ${lab.SCHEMA}`);
    const ops = new lab.Ops({ pool, audit: new lab.AuditLog() });
    const errors: unknown[] = [];
    const api = lab.opsApi(ops, { onError: (error) => errors.push(error), refreshMs: 20, pollMs: 300 });
    bin.defer(() => api.close());
    const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
    return new Chain({ lab, pool, ops, url, folder: folder.path, impl: impl && resolve(impl), errors }, bin);
  }

  /** A host of the inventory and the folder that is its machine; nobody works there yet. */
  async host(name: string, host: Partial<Lab.Host> = {}): Promise<{ root: string; token: string }> {
    const root = join(this.folder, name);
    await mkdir(root, { recursive: true });
    return { root, token: await this.ops.addHost('mo', { name, ...host }) };
  }

  /** A host with an agent in this process. */
  async till(name: string, host: Partial<Lab.Host> = {}): Promise<{ root: string; agent: Lab.Agent }> {
    const { root, token } = await this.host(name, host);
    const machine = new this.#made.lab.Machine({ root, graceMs: 200 });
    const onError = (error: unknown) => void this.#made.errors.push(error);
    const agent = new this.#made.lab.Agent({ url: this.url, token, machine, beatMs: 20, retryMs: 20, onError });
    this.#bin.defer(() => agent[Symbol.asyncDispose]());
    return { root, agent };
  }

  /** A host with an agent that is a process of its own. */
  async process(name: string, host: Partial<Lab.Host> = {}): Promise<{ root: string; child: ChildProcess }> {
    const { root, token } = await this.host(name, host);
    return { root, child: await this.agent(root, token) };
  }

  /** An agent's process. It ends with whoever started it. */
  async agent(root: string, token: string): Promise<ChildProcess> {
    const args = [join(import.meta.dirname, 'till.ts'), this.url, token, root, this.#made.impl];
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#bin.defer(() => end(child));
    await once(createInterface({ input: child.stdout }), 'line');
    return child;
  }

  /** A controller in this process. */
  lead(options: Partial<Lab.ControllerOptions> = {}): Lab.Controller {
    const onError = (error: unknown) => void this.#made.errors.push(error);
    const controller = new this.#made.lab.Controller({ ops: this.ops, everyMs: 10, onError, ...options });
    this.#bin.defer(() => controller[Symbol.asyncDispose]());
    return controller;
  }

  async view(id: string): Promise<Lab.RunView> {
    const [run] = await this.ops.runs(1, id);
    if (!run) throw new Error(`no run ${id}`);
    return run;
  }

  /** The run when it is over. */
  ended(id: string, timeoutMs = 8_000): Promise<Lab.RunView> {
    const over = async () => {
      const run = await this.view(id);
      if (run.state !== 'running' && run.state !== 'cancelling') return run;
      throw new Error(
        `It is ${run.state}; its jobs: ${run.jobs.map(({ host, state }) => `${host} ${state}`).join(', ')}.`,
      );
    };
    return until(over, { what: 'the run to end', timeoutMs, intervalMs: 20 });
  }

  /** Starts a runbook of these steps, and waits for its end. */
  async play(
    steps: unknown,
    o: { target?: string; check?: boolean; batch?: string | number; maxFailedPercent?: number } = {},
  ) {
    const { target = 'all', check = false, ...rest } = o;
    await this.ops.putRunbook('mo', { name: 'play', batch: '100%', ...rest, steps });
    return this.ended(await this.ops.start('mo', { runbook: 'play', target, check }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bin.disposeAsync();
  }
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** How many jobs are in which state. */
export function statesOf(run: Lab.RunView): Record<string, number> {
  const groups = Object.groupBy(run.jobs, ({ state }) => state);
  return Object.fromEntries(Object.entries(groups).map(([state, jobs]) => [state, jobs?.length ?? 0]));
}
