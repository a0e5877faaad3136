import { Agent, get } from 'node:http';

/** What became of the requests of customers who came one after the other until the shop was closed. */
export interface Visits {
  readonly served: number;
  /** Taken by the shop and never answered in full. A connection that was refused is none: a balancer goes elsewhere. */
  readonly lost: number;
}

/**
 * `count` customers at once, each on a connection of its own that is kept. Ends when each was told to leave (`connection:
 * close`: he goes to another shop), was refused, or has lost an answer.
 */
export async function customers(url: string, count: number, signal: AbortSignal): Promise<Visits> {
  let [served, lost] = [0, 0];
  const visit = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      while (!signal.aborted) {
        const outcome = await ask(url, agent);
        if (outcome === 'served' || outcome === 'told') served += 1;
        else if (outcome === 'lost') lost += 1;
        if (outcome !== 'served') return;
      }
    } finally {
      agent.destroy();
    }
  };
  await Promise.all(Array.from({ length: count }, visit));
  return { served, lost };
}

export function ask(url: string, agent: Agent): Promise<'served' | 'told' | 'lost' | 'refused'> {
  return new Promise((resolve) => {
    const request = get(url, { agent }, (response) => {
      const whole = response.headers.connection === 'close' ? 'told' : 'served';
      response.resume().on('close', () => resolve(response.complete ? whole : 'lost'));
      response.on('error', () => resolve('lost'));
    });
    request.on('error', (error) => {
      // On a kept connection that was closed before the request left, Node says so; nothing was taken.
      const refused = 'code' in error && error.code === 'ECONNREFUSED';
      resolve(refused ? 'refused' : 'lost');
    });
  });
}
