/** All errors of this package but TeardownError, which is an AggregateError; tell them apart by class or by `code`. */
export abstract class AppError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A plugin or an option that nothing could be done with. */
export class InvalidDefinitionError extends AppError {
  readonly code = 'INVALID_DEFINITION';
}

/**
 * What is wrong with an app before it begins. `config`: a value at `path` is refused; `missing`: a dependency isn't there;
 * `order`: it comes too late; `cycle`: no order would do; `twice`: mounted twice in one place; `prefix`: it is none.
 */
export interface Problem {
  readonly kind: 'config' | 'missing' | 'order' | 'cycle' | 'twice' | 'prefix';
  /** Its name, and for a stall where it stands: `fish at /fish`. */
  readonly plugin: string;
  /** For `config`: where in the configuration, as `counters.0.name`; empty for the whole. */
  readonly path?: string;
  readonly message: string;
}

/** Nothing has been set up. `problems` has all that is wrong, and no value of the configuration. */
export class InvalidAppError extends AppError {
  readonly code = 'INVALID_APP';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const lines = problems.map(({ plugin, path, message }) => `\n- ${plugin}${path ? `, ${path}` : ''}: ${message}`);
    super(`The app cannot begin, ${problems.length} to mend:${lines.join('')}`);
    this.problems = problems;
  }
}

/** A plugin could not be set up: `cause` says why. What had been set up before it is torn down; `alsoFailed` is what failed in that. */
export class SetupError extends AppError {
  readonly code: string = 'SETUP_FAILED';
  readonly plugin: string;
  readonly alsoFailed: readonly PluginTeardownError[];

  constructor(plugin: string, why: string, options: ErrorOptions & { alsoFailed?: readonly PluginTeardownError[] }) {
    super(`${plugin} could not be set up: ${why}`, options);
    this.plugin = plugin;
    this.alsoFailed = options.alsoFailed ?? [];
  }
}

/** The setup of a plugin has not ended in time. Its `signal` is aborted; what it provides too late is torn down at once. */
export class SetupTimeoutError extends SetupError {
  override readonly code = 'SETUP_TIMEOUT';
}

/** `cause` is what the teardown of this plugin threw; without one it has not ended in time. */
export class PluginTeardownError extends AppError {
  readonly code = 'PLUGIN_TEARDOWN_FAILED';
  readonly plugin: string;

  constructor(plugin: string, why: string, options?: ErrorOptions) {
    super(`${plugin} could not be torn down: ${why}`, options);
    this.plugin = plugin;
  }
}

/** What `close()` rejects with: all plugins have had their teardown, and these have failed in it. */
export class TeardownError extends AggregateError {
  override readonly name = 'TeardownError';
  readonly code = 'TEARDOWN_FAILED';
  declare readonly errors: PluginTeardownError[];

  constructor(errors: readonly PluginTeardownError[]) {
    super(errors, `The app is closed, and not all is torn down:${errors.map((e) => `\n- ${e.message}`).join('')}`);
  }
}

/** Asked to listen after `close()`. */
export class AppClosedError extends AppError {
  readonly code = 'APP_CLOSED';

  constructor() {
    super('The app is closed, and its plugins are torn down: build another one.');
  }
}
