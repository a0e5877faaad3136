// A line of ferries with its objects, as the controller would write them, and how its passengers fare.
import { setTimeout as delay } from 'node:timers/promises';
import { type KubernetesObject, PatchStrategy } from '@kubernetes/client-node';
import { type Cluster, ferryLines, objectsOf } from '../../src/index.ts';
import type { Landing } from './landing.ts';

const COMMAND = ['node', `${import.meta.dirname}/ferry.ts`];

/**
 * Deployment, Service and budget of a line whose ferries have this environment: VERSION, WORK_MS, START_MS, DRAIN.
 * @param probed whether anybody asks a ferry if it is ready
 */
export function sailing(
  name: string,
  namespace: string,
  env: Readonly<Record<string, string>>,
  { ferries = 2, probed = true } = {},
): KubernetesObject[] {
  const spec = { ferries, image: 'ferry', command: COMMAND, port: 8080 };
  return objectsOf({ ...ferryLines, metadata: { name, namespace }, spec }).map((object): KubernetesObject => {
    if (object.kind !== 'Deployment') return object;
    const list = Object.entries(env).map(([key, value]) => ({ name: key, value }));
    const text = JSON.stringify(object).replace('"command":', `"env":${JSON.stringify(list)},"command":`);
    return JSON.parse(probed ? text : text.replace(/"readinessProbe":\{.*?\}.*?\},/, ''));
  });
}

export async function apply(cluster: Cluster, objects: readonly KubernetesObject[]): Promise<void> {
  for (const each of objects) {
    await cluster.patch(each, undefined, undefined, 'shipyard', true, PatchStrategy.ServerSideApply);
  }
}

export interface Passenger {
  /** Milliseconds since the first one. */
  readonly at: number;
  /** Undefined: lost. */
  readonly answer: string | undefined;
}

/** Passengers who come to a landing one after the other, in four queues, until they are told that it is enough. */
export class Passengers {
  readonly all: Passenger[] = [];
  #coming = true;
  readonly #queues: Promise<unknown>;

  constructor(landing: Landing, line: string, everyMs = 5) {
    const start = performance.now();
    const queue = async () => {
      while (this.#coming) {
        const at = performance.now() - start;
        this.all.push({ at, answer: await landing.ask(line) });
        await delay(everyMs);
      }
    };
    this.#queues = Promise.all(Array.from({ length: 4 }, queue));
  }

  /** Whether the newest ones have all been carried by ferries of this version. */
  areAllOn(version: string): boolean {
    const newest = this.all.slice(-20);
    return newest.length === 20 && newest.every(({ answer }) => answer === version);
  }

  async end(): Promise<{ lost: number; of: number }> {
    this.#coming = false;
    await this.#queues;
    return { lost: this.all.filter(({ answer }) => answer === undefined).length, of: this.all.length };
  }
}
