import type { IncomingHttpHeaders } from 'node:http';
import { DeclarationError, DependencyCycleError, ScopeOverError } from './errors.ts';

/** What a dependency is made with. */
export interface Context {
  /** Another dependency of the same request. */
  readonly inject: <T>(dependency: Dependency<T>) => Promise<T>;
  /** Aborts when nobody waits for the answer any more: the client is gone, the deadline has passed, the server stops. */
  readonly signal: AbortSignal;
  readonly headers: IncomingHttpHeaders;
}

/**
 * Yields the value once. What stands before the `yield` makes it, what stands behind takes it back. If the request fails, its
 * error is thrown at the `yield`: a `catch` there can roll back, and has the last word on nothing, because the request has
 * failed already.
 */
export type Maker<T> = (context: Context) => AsyncGenerator<T, void, void>;

/** Compared by identity; the name is for messages. */
export interface Dependency<T> {
  readonly name: string;
  readonly make: Maker<T>;
}

/** Another maker in the place of a dependency's own, in tests. */
export interface Override {
  readonly dependency: Dependency<unknown>;
  readonly make: Maker<unknown>;
}

/**
 * Something that lives as long as a request, as FastAPI's dependency with `yield`. A value with a `then` is awaited by the
 * `yield`, as JavaScript has it: wrap a query builder into an object.
 */
export function provide<T>(name: string, make: Maker<T>): Dependency<T> {
  return Object.freeze({ name, make });
}

/** `make` in the place of the dependency's own, for whoever depends on it. The types say whether it fits. */
export function override<T>(dependency: Dependency<T>, make: Maker<NoInfer<T>>): Override {
  return Object.freeze({ dependency, make });
}

export interface ScopeOptions extends Pick<Context, 'signal' | 'headers'> {
  readonly overrides: ReadonlyMap<Dependency<unknown>, Maker<unknown>>;
  /** Told of what fails while something is taken back, when the request has failed already. */
  readonly onError: (error: unknown) => void;
}

/** The dependencies of one request. */
export class Scope {
  protected readonly options: ScopeOptions;
  /** Each is made once: those who come later wait for the same promise. */
  protected readonly values = new Map<Dependency<unknown>, Promise<unknown>>();
  /** Waiting at their `yield`, in the order in which they got there. */
  protected readonly made: AsyncGenerator<unknown, void, void>[] = [];
  protected over = false;
  readonly #needs = new Map<Dependency<unknown>, Set<Dependency<unknown>>>();

  constructor(options: ScopeOptions) {
    this.options = options;
  }

  /** @throws what its maker throws; DependencyCycleError; ScopeOverError */
  inject<T>(dependency: Dependency<T>): Promise<T> {
    let value = this.values.get(dependency);
    if (!value) {
      if (this.over) return Promise.reject(new ScopeOverError(dependency.name));
      value = this.make(dependency);
      this.values.set(dependency, value);
      // Whoever asked may have failed by then; it is no unhandled rejection.
      value.catch(() => {});
    }
    // A map can't say that the value under a Dependency<T> is a T: it was made by that very dependency.
    return value as Promise<T>;
  }

  /**
   * Takes back all that was made, the last one first, what is still being made too. With `failure` the makers are thrown its
   * error, and this rejects never. Without, the first that fails makes the request fail: the others are thrown its error.
   * @throws what a maker throws behind its `yield`
   */
  async close(failure?: { readonly error: unknown }): Promise<void> {
    this.over = true;
    await Promise.allSettled(this.values.values());
    let failed = failure;
    for (const generator of this.made.toReversed()) {
      try {
        await this.takeBack(generator, failed);
      } catch (error) {
        if (failed) this.options.onError(error);
        failed ??= { error };
      }
    }
    if (failed && !failure) throw failed.error;
  }

  /** Up to the `yield`. */
  protected async make<T>(dependency: Dependency<T>): Promise<T> {
    const { overrides, signal, headers } = this.options;
    const make = (overrides.get(dependency) ?? dependency.make) as Maker<T>;
    const inject: Context['inject'] = async (other) => {
      this.#refuseCycle(dependency, other);
      return this.inject(other);
    };
    const generator = make({ inject, signal, headers });
    const { done, value } = await generator.next();
    if (done) throw new DeclarationError(`The dependency ${dependency.name} has ended without a yield.`);
    this.made.push(generator);
    return value;
  }

  /** Behind the `yield`. @throws what it throws, unless that is the error it was thrown */
  protected async takeBack(generator: AsyncGenerator<unknown, void, void>, failed?: { error: unknown }): Promise<void> {
    const end = failed
      ? await generator.throw(failed.error).catch((error: unknown) => {
          if (error !== failed.error) throw error;
          return { done: true };
        })
      : await generator.next();
    if (end.done) return;
    await generator.return();
    throw new DeclarationError('A dependency has yielded twice: yield its value once.');
  }

  #refuseCycle(asker: Dependency<unknown>, asked: Dependency<unknown>): void {
    const needs = this.#needs.get(asker) ?? new Set();
    this.#needs.set(asker, needs.add(asked));
    const path = this.#pathTo(asker, asked, new Set());
    if (path) throw new DependencyCycleError([asker.name, ...path.map(({ name }) => name)]);
  }

  /** Those who are asked at once wait for each other, too: so what counts is who needs whom, not who was asked first. */
  #pathTo(
    target: Dependency<unknown>,
    from: Dependency<unknown>,
    seen: Set<unknown>,
  ): readonly Dependency<unknown>[] | undefined {
    if (from === target) return [from];
    if (seen.has(from)) return undefined;
    seen.add(from);
    for (const next of this.#needs.get(from) ?? []) {
      const rest = this.#pathTo(target, next, seen);
      if (rest) return [from, ...rest];
    }
    return undefined;
  }
}
