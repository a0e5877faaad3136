import { type Instrumentation, isWrapped, registerInstrumentations } from '@opentelemetry/instrumentation';
import { GrpcInstrumentation } from '@opentelemetry/instrumentation-grpc';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { IORedisInstrumentation } from '@opentelemetry/instrumentation-ioredis';
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg';
import { register, supportsSyncHooks } from 'import-in-the-middle/register-hooks.mjs';
import { InvalidArgumentError, NotPatchedError } from './errors.ts';

/**
 * How this process loads what is to be traced, as its own code does: `{ pg: () => import('pg') }`. They are loaded before
 * the application is, and looked at.
 */
export interface Modules {
  readonly http?: () => Promise<unknown>;
  readonly pg?: () => Promise<unknown>;
  readonly ioredis?: () => Promise<unknown>;
  readonly '@grpc/grpc-js'?: () => Promise<unknown>;
}

interface Known {
  readonly instrumentation: () => Instrumentation;
  /** Specifiers that the ESM hook looks at. */
  readonly specifiers: readonly string[];
  /** Where in the module's namespace an instrumentation that is in force has left its wrapper. */
  readonly wrapped: readonly string[];
}

const KNOWN: ReadonlyMap<string, Known> = new Map<string, Known>([
  [
    'http',
    {
      instrumentation: () => new HttpInstrumentation(),
      specifiers: ['http', 'node:http', 'https', 'node:https'],
      wrapped: ['request'],
    },
  ],
  [
    'pg',
    { instrumentation: () => new PgInstrumentation(), specifiers: ['pg'], wrapped: ['Client', 'prototype', 'query'] },
  ],
  [
    'ioredis',
    {
      // A key may be a name or a mail address: the command alone is sent.
      instrumentation: () => new IORedisInstrumentation({ dbStatementSerializer: (command) => command }),
      specifiers: ['ioredis'],
      wrapped: ['Redis', 'prototype', 'sendCommand'],
    },
  ],
  [
    '@grpc/grpc-js',
    {
      instrumentation: () => new GrpcInstrumentation(),
      specifiers: ['@grpc/grpc-js'],
      wrapped: ['Client', 'prototype', 'makeUnaryRequest'],
    },
  ],
]);

function known(name: string): Known {
  const found = KNOWN.get(name);
  if (found) return found;
  throw new InvalidArgumentError(`No instrumentation for ${name}; there is one for ${[...KNOWN.keys()].join(', ')}.`);
}

/**
 * The hook through which `import` can be patched. An instrumentation by itself patches what `require` loads, and nothing
 * of what `import` does, without a word.
 *
 * @throws InvalidArgumentError on a Node.js whose module hooks can't do it.
 */
export function hookImports(modules: Modules): void {
  if (!supportsSyncHooks()) {
    throw new InvalidArgumentError(`Node.js 24.11.1 or newer is needed to trace imports; this is ${process.version}.`);
  }
  register({ include: Object.keys(modules).flatMap((name) => known(name).specifiers) });
}

/** From here on a listed module is patched when it is loaded. What was loaded before stays as it was. */
export function instrument(modules: Modules): void {
  registerInstrumentations({ instrumentations: Object.keys(modules).map((name) => known(name).instrumentation()) });
}

/**
 * Loads each module and looks whether it is patched, as `import { request } from 'node:http'` sees it.
 *
 * @throws NotPatchedError naming all that are not; an error of a module that can't be loaded passes as it came.
 */
export async function assertPatched(modules: Modules): Promise<void> {
  const missing: string[] = [];
  for (const [name, load] of Object.entries(modules)) {
    const loaded: unknown = await load();
    if (!isPatched(name, loaded)) missing.push(name);
  }
  if (missing.length > 0) throw new NotPatchedError(missing);
}

/** @param name of `Modules`. @throws InvalidArgumentError on another one. */
export function isPatched(name: string, loaded: unknown): boolean {
  const path = known(name).wrapped;
  const at = (owner: unknown): unknown =>
    path.reduce<unknown>(
      (found, key) => (found === undefined || found === null ? undefined : Reflect.get(Object(found), key)),
      owner,
    );
  return isWrapped(at(loaded)) || isWrapped(at(Reflect.get(Object(loaded), 'default')));
}
