// What a Service is on a node: requests go to the endpoints that the control plane lists, and a moment later than it lists them.
// kube-proxy writes its rules once a second at most; this one after `lagMs`.
import { request } from 'node:http';
import type { V1EndpointSlice } from '@kubernetes/client-node';
import { type Cluster, Informer } from '../../src/index.ts';
import type { Addresses } from './node.ts';

export class Landing implements AsyncDisposable {
  readonly #addresses: Addresses;
  readonly #slices: Informer<V1EndpointSlice>;
  readonly #lagMs: number;
  readonly #rules = new Map<string, readonly string[]>();
  #turn = 0;

  constructor(cluster: Cluster, addresses: Addresses, namespace: string, lagMs = 200) {
    this.#addresses = addresses;
    this.#lagMs = lagMs;
    const source = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', namespace };
    this.#slices = new Informer<V1EndpointSlice>(
      cluster,
      source,
      (now, before) => this.#hear(now ?? before, now === undefined),
      { retryMs: 100 },
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#slices[Symbol.asyncDispose]();
  }

  #hear(slice: V1EndpointSlice | undefined, gone: boolean): void {
    const service = slice?.metadata?.labels?.['kubernetes.io/service-name'] ?? '';
    const ready = gone ? [] : (slice?.endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false);
    setTimeout(
      () =>
        this.#rules.set(
          service,
          ready.flatMap(({ addresses }) => addresses),
        ),
      this.#lagMs,
    ).unref();
  }

  /** How many pods stand behind a Service now. */
  count(service: string): number {
    return this.#rules.get(service)?.length ?? 0;
  }

  /** The answer to one request to a Service, over a connection of its own; undefined where it was lost. */
  ask(service: string, path = '/'): Promise<string | undefined> {
    const ips = this.#rules.get(service) ?? [];
    const port = this.#addresses.get(ips[this.#turn++ % Math.max(1, ips.length)] ?? '');
    if (port === undefined) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const asked = request({ host: '127.0.0.1', port, path, agent: false, timeout: 2000 }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response
          .on('error', () => resolve(undefined))
          .on('end', () => resolve(response.statusCode === 200 ? text : undefined));
      });
      asked
        .on('error', () => resolve(undefined))
        .on('timeout', () => asked.destroy(new Error('no answer')))
        .end();
    });
  }
}
