import { inspect } from 'node:util';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { InvalidDefinitionError, type Problem } from './errors.ts';

declare const provides: unique symbol;

/** A part of an app, that can be mounted in many. Its name is what others depend on, and what errors call it. */
export interface Plugin<Name extends string = string, Input = never, Provided = unknown> {
  readonly name: Name;
  readonly dependencies: readonly string[];
  /**
   * Mounts it on the hall itself: its hooks are everybody's, its error handler and its decorators those of whoever comes after
   * it, and what its setup returns is there for those that depend on it.
   */
  with(...config: ConfigOf<Input>): Mount;
  /**
   * Mounts it as a stall, Flask's blueprint: its routes stand under `prefix`, its hooks, its error handler and its decorators
   * are its own. As often as you like, each time under another prefix and with a configuration of its own.
   */
  at(prefix: string, ...config: ConfigOf<Input>): Mount;
  /** For the compiler alone. */
  readonly [provides]?: Provided;
}

/** May be left out when nothing in it has to be there. */
type ConfigOf<Input> = [Input] extends [never]
  ? [config: never]
  : unknown extends Input
    ? [config?: Input]
    : Record<never, never> extends Input
      ? [config?: Input]
      : [config: Input];

/** What each of the dependencies provides, by its name. */
export type Needs<Dependencies extends readonly Plugin[]> = {
  readonly [D in Dependencies[number] as D['name']]: D extends Plugin<string, never, infer Provided> ? Provided : never;
};

export interface SetupContext<Config, Dependencies extends readonly Plugin[]> {
  /** The hall's, or for a stall its own: add routes, hooks, an error handler. */
  readonly app: FastifyInstance;
  /** Checked, with its defaults. Its objects and lists are made for this mount in this app; what has a class is as the schema gives it. */
  readonly config: Config;
  readonly needs: Needs<Dependencies>;
  /** Aborted when the app will not begin, or the time for it is over: end then. */
  readonly signal: AbortSignal;
}

export interface PluginDefinition<
  Name extends string,
  Schema extends z.ZodType,
  Dependencies extends readonly Plugin[],
  Provided,
> {
  /** Lower-case letters, digits and hyphens. One of the same name may stand in for it, in a test: type it `typeof theOther`. */
  readonly name: Name;
  /** What its configuration has to be. Default: none is taken. */
  readonly config?: Schema;
  /** Must be mounted on the same app, without a prefix, and before it. */
  readonly dependencies?: Dependencies;
  /** Called once for each mount in each app. What it has begun when it throws is its own to end. */
  readonly setup: (context: SetupContext<z.output<Schema>, Dependencies>) => Promise<Provided> | Provided;
  /** Called once with what `setup` returned, when those that came after it have been torn down. */
  readonly teardown?: (provided: Provided) => Promise<void> | void;
}

/** A plugin with its place and its configuration, not checked yet. */
export interface Mount {
  readonly name: string;
  readonly dependencies: readonly string[];
  /** Undefined: on the hall itself. */
  readonly prefix: string | undefined;
  /** What errors call it: `till`, `fish at /fish`. */
  readonly title: string;
  /** Checks the configuration: what is wrong with it, or what can be set up. Throws nothing. */
  readonly check: () => Promise<{ readonly problems: readonly Problem[] } | Checked>;
}

export interface Checked {
  readonly problems?: undefined;
  readonly config: unknown;
  /** `needs` has what was provided until now, by name. @throws what the plugin's setup throws */
  readonly setup: (
    app: FastifyInstance,
    needs: ReadonlyMap<string, unknown>,
    signal: AbortSignal,
  ) => Promise<{ readonly provided: unknown; readonly teardown: () => Promise<void> }>;
}

const nothing = z.strictObject({});

/**
 * Describes a plugin; nothing of it runs until an app is built with it.
 * @throws InvalidDefinitionError
 */
export function definePlugin<
  const Name extends string,
  Provided,
  Schema extends z.ZodType = typeof nothing,
  const Dependencies extends readonly Plugin[] = readonly [],
>(definition: PluginDefinition<Name, Schema, Dependencies, Provided>): Plugin<Name, z.input<Schema>, Provided> {
  const { name, setup, teardown, dependencies: plugins = [] } = definition ?? {};
  // Left out, it is what the type parameter says by default.
  const schema = (definition?.config ?? nothing) as Schema;
  const refuse = (what: string, given: unknown, wanted: string) => {
    throw new InvalidDefinitionError(`${what} is ${inspect(given, { depth: 0 })}: give ${wanted}.`);
  };
  if (typeof name !== 'string' || !/^[a-z][a-z0-9-]*$/.test(name) || name in Function.prototype) {
    // fastify-plugin writes the name to a function, as a property.
    refuse(
      'The name of a plugin',
      name,
      'lower-case letters, digits and hyphens, nothing that every function has, as call',
    );
  }
  if (typeof setup !== 'function') refuse(`The setup of ${name}`, setup, 'a function');
  if (typeof (teardown ?? setup) !== 'function') refuse(`The teardown of ${name}`, teardown, 'a function');
  if (typeof schema.safeParseAsync !== 'function') refuse(`The config of ${name}`, schema, 'a schema of zod');
  if (!Array.isArray(plugins) || plugins.some((each) => typeof each?.name !== 'string')) {
    refuse(`dependencies of ${name}`, plugins, 'a list of plugins');
  }
  const dependencies = Object.freeze(plugins.map((each) => each.name));
  const mount = (prefix: string | undefined, input: unknown): Mount => {
    const title = prefix === undefined ? name : `${name} at ${prefix}`;
    return {
      name,
      dependencies,
      prefix,
      title,
      check: async () => {
        const parsed = await parse(schema, input, title);
        if (parsed.problems) return parsed;
        const { config } = parsed;
        return {
          config,
          setup: async (app, all, signal) => {
            const provided = await setup({ app, config, needs: pick<Needs<Dependencies>>(all, dependencies), signal });
            return { provided, teardown: async () => teardown?.(provided) };
          },
        };
      },
    };
  };
  return {
    name,
    dependencies,
    with: (...[config]) => mount(undefined, config),
    at: (prefix, ...[config]) => mount(String(prefix), config),
  };
}

async function parse<Schema extends z.ZodType>(schema: Schema, input: unknown, plugin: string) {
  const problem = (path: string, message: string): Problem => ({ kind: 'config', plugin, path, message });
  try {
    const left = await schema.safeParseAsync(input);
    // Left out, it may have a default as a whole, or one for all that is in it.
    const { success, data, error } = left.success || input !== undefined ? left : await schema.safeParseAsync({});
    if (success) return { config: own(data) };
    return { problems: error.issues.map(({ path, message }) => problem(path.map(String).join('.'), message)) };
  } catch (error) {
    // What it threw may have the value in it.
    const what = error instanceof Error ? error.name : typeof error;
    return { problems: [problem('', `its schema has thrown (${what}) instead of adding an issue`)] };
  }
}

/** Plain objects and lists anew: a default inside of a default is one for all. What has a class of its own is handed on. */
function own<T>(value: T, copies = new Map<unknown, unknown>()): T {
  const proto: unknown = typeof value === 'object' && value !== null ? Object.getPrototypeOf(value) : undefined;
  if (proto !== null && proto !== Object.prototype && proto !== Array.prototype) return value;
  if (!copies.has(value)) {
    const copy: object = Array.isArray(value) ? [] : Object.create(proto);
    copies.set(value, copy);
    for (const [key, inner] of Object.entries(value ?? {})) {
      const whole = { value: own(inner, copies), writable: true, enumerable: true, configurable: true };
      Object.defineProperty(copy, key, whole);
    }
    if (Object.isFrozen(value)) Object.freeze(copy);
  }
  return copies.get(value) as T;
}

/** The compiler can't know that what stands under a name is what the plugin of that name provides. */
function pick<Picked>(all: ReadonlyMap<string, unknown>, names: readonly string[]): Picked {
  return Object.fromEntries(names.map((name) => [name, all.get(name)])) as Picked;
}
