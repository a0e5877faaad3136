import type { FastifyInstance } from 'fastify';
import { type AppConfig, type Checked, Assembly as Given, type Mount } from '../src/index.ts';

// Yours is the making of one app out of its plugins. Given, in src/: `definePlugin` and the types, the errors (an editor shows
// what their constructors take), `wiringProblems` for places that are taken twice, and what closing waits for. The re-exports
// below bring no name into this file: import what you need from '../src/index.ts'. `h` in `pnpm lab learn app-plugins` gives a hint.
export {
  AppClosedError,
  type AppConfig,
  AppError,
  type Checked,
  definePlugin,
  InvalidAppError,
  InvalidDefinitionError,
  type Mount,
  type Needs,
  type Plugin,
  type PluginDefinition,
  PluginTeardownError,
  type Problem,
  Secret,
  type SetupContext,
  SetupError,
  SetupTimeoutError,
  secret,
  TeardownError,
} from '../src/index.ts';

/**
 * One app, ready to listen, that shares nothing with any other. `new Assembly(config).build()` calls, in this order: `check`;
 * `create`, which is given and makes the fastify instance; `register` for each mount; `boot`.
 */
export async function buildApp(_config: AppConfig): Promise<FastifyInstance> {
  return todo('buildApp');
}

/**
 * Given: `this.mounts`, the list of mounts, each with `name`, `title` (what errors call it), `prefix` (undefined: on the hall
 * itself), `dependencies` (names) and `check()`; and
 * - `this.provided`, a Map of what the plugins of the hall provide, by name: empty at first;
 * - `this.signal`, which ends a setup that is at work when it is too late;
 * - `this.blame(mount)`: when avvio reports an error, it is this mount's;
 * - `this.undo(app, error)` closes the app, and throws never; `this.setupError(error)` is what to throw after it: a SetupError with
 *   the name of who is to blame, and with `this.thrown.error` as its cause, where you have set `this.thrown`;
 * - `this.failed(title, error)` makes a PluginTeardownError of what a teardown has thrown, without its secrets, and
 *   `this.fail(title, why)` one of your words: `close()` rejects with all of them.
 */
export class Assembly extends Given {
  /**
   * Checks the configuration of each mount, by `mount.check()`: it resolves to `{ problems }`, or to what can be set up,
   * whose `problems` is undefined. When anything is wrong anywhere, throws one InvalidAppError with all problems, in the order
   * of the mounts: first those of the wiring (see below), then those of the configurations.
   */
  protected override check(): Promise<[Mount, Checked][]> {
    return todo('check');
  }

  /**
   * A Problem of kind `missing`, with the title of who depends and a message that has the name, for each dependency that is
   * mounted nowhere without a prefix. Hardening laws: `order`, `cycle`, `twice` and `prefix`, as in `Problem`.
   */
  protected override wiring(): ReturnType<Given['wiring']> {
    return [];
  }

  /**
   * Hands a plugin to avvio: `app.register(fastifyPlugin(async (instance) => …, { name, encapsulate }), { prefix })`, with the
   * prefix `''` for the hall. When its turn has come, it is to blame for errors, and is set up with the instance that it is given.
   */
  protected override register(_app: FastifyInstance, _mount: Mount, _checked: Checked): void {}

  /**
   * Calls `checked.setup(app, needs, signal)`, whose `needs` has what is provided until now; it resolves to `{ provided, teardown }`.
   * Keeps what a plugin of the hall provides, and sees to it that `tearDown` is called when the app is closed. Hardening laws:
   * a setup that resolves too late is torn down at once; one that is aborted is not waited for.
   */
  protected override setUp(_app: FastifyInstance, _mount: Mount, _checked: Checked): Promise<void> {
    return todo('setUp');
  }

  /**
   * Calls `teardown`. What it throws is for `this.failed(title, error)`. Rejects never. Hardening law: one that has not ended in
   * time, `this.limits.teardownTimeoutMs`, is for `this.fail(title, why)`.
   */
  protected override tearDown(_mount: Mount, _teardown: () => Promise<void>): Promise<void> {
    return todo('tearDown');
  }

  /** `app.ready()` has avvio load all that is registered. When it rejects, what has been set up is undone before the error is thrown. */
  protected override boot(_app: FastifyInstance): Promise<void> {
    return todo('boot');
  }
}

async function todo(name: string): Promise<never> {
  throw new Error(`${name} is not written yet: its comment in attempt/index.ts is the task.`);
}
