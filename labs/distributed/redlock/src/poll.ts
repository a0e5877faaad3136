import type { Clock } from './clock.ts';

/**
 * One node's answer. `yes`: it did what was asked. `no`: it refused, since the key has another token or none.
 * `error`: it answered with an error or the connection broke. `silent`: nothing within the node timeout; it may still
 * act later. `unheard`: the outcome was known before it answered.
 */
export interface Vote {
  readonly node: number;
  readonly answer: 'yes' | 'no' | 'error' | 'silent' | 'unheard';
  readonly error?: Error;
}

export interface Ballot {
  readonly votes: readonly Vote[];
  readonly yes: number;
  readonly no: number;
}

/**
 * Asks all nodes at once and resolves as soon as the outcome is known: `quorum` nodes said yes, or so few can still
 * say it that it's out of reach, or `timeoutMs` has passed. A hung node therefore costs nothing while a majority is well.
 * Never rejects.
 */
export function poll<Node>(question: {
  clock: Clock;
  nodes: readonly Node[];
  quorum: number;
  timeoutMs: number;
  ask: (node: Node) => Promise<boolean>;
  /** Who leaves waits for no answer: those that are still out are silent. */
  signal?: AbortSignal | undefined;
}): Promise<Ballot> {
  const { clock, nodes, quorum, timeoutMs, ask, signal } = question;
  return new Promise((resolve) => {
    const votes: Vote[] = [];
    let yes = 0;
    let no = 0;
    let heard = 0;
    const decide = (rest: 'silent' | 'unheard') => {
      cancel();
      signal?.removeEventListener('abort', onAbort);
      // Not before those have been heard that fail at once: a node without a connection was asked nothing.
      queueMicrotask(() => {
        for (const node of nodes.keys()) votes[node] ??= { node, answer: rest };
        resolve({ votes, yes, no });
      });
    };
    const onAbort = () => decide('silent');
    // An event loop that was busy runs its timers before it reads: an answer that has come by now is not silence.
    const cancel = clock.after(timeoutMs, () => setImmediate(onAbort));
    signal?.addEventListener('abort', onAbort);
    const count = (vote: Vote) => {
      if (votes[vote.node]) return;
      votes[vote.node] = vote;
      heard++;
      if (vote.answer === 'yes') yes++;
      if (vote.answer === 'no') no++;
      if (yes >= quorum || yes + nodes.length - heard < quorum) decide('unheard');
    };
    for (const [index, node] of nodes.entries()) {
      ask(node).then(
        (answer) => count({ node: index, answer: answer ? 'yes' : 'no' }),
        (cause: unknown) =>
          count({ node: index, answer: 'error', error: cause instanceof Error ? cause : new Error(String(cause)) }),
      );
    }
  });
}
