import type { DescMessage, DescMethodUnary } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Level } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { InvalidInputError } from './errors.ts';
import { traceCalls } from './trace.ts';
import { openChannel } from './vendor/grpc/index.ts';

export interface Nodes extends Disposable {
  readonly transport: Transport;
}

/** Milliseconds for which a node that could not be reached, or did not answer in time, is asked last. */
const REST_MS = 500;

/**
 * Several nodes of one service as one: each call goes to the next of them, and on to another where a node is away. What may
 * have been done is not done again: only what the contract calls idempotent, or what never left here.
 * @throws InvalidInputError
 */
export function openNodes(urls: readonly string[]): Nodes {
  const nodes = urls.map((url) => ({ channel: openChannel(url, { interceptors: [traceCalls] }), restsUntil: 0 }));
  const [one] = nodes;
  if (one === undefined) throw new InvalidInputError('urls', urls, 'one at least');
  let turn = 0;
  const inOrder = () => {
    const now = performance.now();
    const first = turn++ % nodes.length;
    const round = [...nodes.slice(first), ...nodes.slice(0, first)];
    return [...round.filter((node) => node.restsUntil <= now), ...round.filter((node) => node.restsUntil > now)];
  };
  const unary: Transport['unary'] = async (method, signal, timeoutMs, ...rest) => {
    const ends = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
    let failure: unknown;
    for (const node of inOrder()) {
      try {
        const left = ends === undefined ? undefined : ends - performance.now();
        return await node.channel.transport.unary(method, signal, left, ...rest);
      } catch (error) {
        // The last word is that of a node that was asked, and not that the time is over.
        failure ??= error;
        const { code } = ConnectError.from(error);
        const silent = code === Code.Unavailable || code === Code.DeadlineExceeded;
        if (!silent || wasAnswered(error)) throw error;
        node.restsUntil = performance.now() + REST_MS;
        if (code === Code.DeadlineExceeded) throw error;
        if (!isRepeatable(method) && !neverLeft(error)) throw error;
      }
    }
    throw failure;
  };
  return {
    // The contract has no streams.
    transport: { ...one.channel.transport, unary },
    [Symbol.dispose]() {
      for (const { channel } of nodes) channel.close();
    },
  };
}

/** The service itself said so (its store is away): another node has the same store. */
const wasAnswered = (error: unknown) => error instanceof ConnectError && error.metadata.has('grpc-status');

function isRepeatable(method: DescMethodUnary<DescMessage, DescMessage>): boolean {
  return method.idempotency === Level.NO_SIDE_EFFECTS || method.idempotency === Level.IDEMPOTENT;
}

function neverLeft(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && at.code === 'ECONNREFUSED') return true;
  }
  return false;
}
