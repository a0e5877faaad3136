import { once, setMaxListeners } from 'node:events';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import {
  type Health as HealthService,
  HealthCheckResponse_ServingStatus as Status,
} from './grpc/health/v1/health_pb.ts';

/**
 * grpc.health.v1: whether this server, and each of its services, wants to be asked. '' is the server as a whole.
 * Balancers, Kubernetes' probes and gRPC clients ask it by this contract.
 * Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
export class Health {
  readonly #statuses = new Map<string, Status>([['', Status.SERVING]]);
  readonly #changes = new EventTarget();
  #down = false;

  constructor() {
    // One for each watcher: many are no leak.
    setMaxListeners(0, this.#changes);
  }

  /** What is answered from now on. After `shutDown` nothing changes any more. */
  set(service: string, serving: boolean): void {
    if (this.#down) return;
    this.#statuses.set(service, serving ? Status.SERVING : Status.NOT_SERVING);
    this.#changes.dispatchEvent(new Event('change'));
  }

  /** Nothing is served, for good. Watchers are told, and let go. */
  shutDown(): void {
    for (const service of this.#statuses.keys()) this.set(service, false);
    this.#down = true;
    this.#changes.dispatchEvent(new Event('change'));
  }

  /** What the contract's two methods do. `RpcServer` has it among its routes. */
  readonly service: ServiceImpl<typeof HealthService> = {
    check: ({ service }) => {
      const status = this.#statuses.get(service);
      if (status === undefined) throw new ConnectError(`No service "${service}" is known here.`, Code.NotFound);
      return { status };
    },
    watch: ({ service }, context) => this.watch(service, context.signal),
  };

  /** The status now, and each one that differs from the last told. Who reads slowly misses what has passed meanwhile. */
  protected async *watch(service: string, signal: AbortSignal) {
    for (let told: Status | undefined; !signal.aborted; ) {
      const status = this.#statuses.get(service) ?? Status.SERVICE_UNKNOWN;
      if (status !== told) yield { status };
      else if (this.#down) return;
      else await once(this.#changes, 'change', { signal });
      told = status;
    }
  }
}
