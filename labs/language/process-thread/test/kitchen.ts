// The kitchen of the burger shop: what the processes and threads of the laws and of the demo run.

import { once } from 'node:events';
import { appendFileSync, existsSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, threadId } from 'node:worker_threads';

/** Where an order is cooked. */
export interface Stove {
  readonly pid: number;
  readonly thread: number;
}

export type Order =
  /** Says in `gate`/begun that it has begun, waits for `gate`/open, says in `gate`/ended that it is done. */
  | { readonly dish: 'hold'; readonly name: string; readonly gate: string }
  /** As `hold`, in a loop that never yields. */
  | { readonly dish: 'spin'; readonly name: string; readonly gate: string }
  | { readonly dish: 'cook'; readonly name: string; readonly gate: string; readonly ms: number }
  | { readonly dish: 'stove' }
  | { readonly dish: 'flags' }
  | { readonly dish: 'nest'; readonly depth: number }
  | { readonly dish: 'forge' }
  | { readonly dish: 'reject' }
  | { readonly dish: 'doze'; readonly ms: number }
  | { readonly dish: 'burn' }
  | { readonly dish: 'toss'; readonly what: string }
  | { readonly dish: 'leave'; readonly code: number }
  | { readonly dish: 'lend' }
  | { readonly dish: 'hash'; readonly steps: number }
  /** Asks a server on `port`, and waits for its answer. */
  | { readonly dish: 'ask'; readonly port: number }
  | { readonly dish: 'echo'; readonly value: unknown };

const me: Stove = { pid: process.pid, thread: threadId };

export const hash = (steps: number): number => {
  let grain = 1;
  for (let step = 0; step < steps; step++) grain = (grain * 16_807) % 2_147_483_647;
  return grain;
};

/** Connects to a server that says one thing and hangs up. @returns milliseconds until then. */
export const ask = async (port: number): Promise<number> => {
  const from = performance.now();
  await once(connect(port, '127.0.0.1').resume(), 'close');
  return performance.now() - from;
};

export default async function kitchen(order: Order): Promise<unknown> {
  const note = (what: string) => 'gate' in order && appendFileSync(`${order.gate}/${what}`, `${order.name}\n`);
  switch (order.dish) {
    case 'hold':
      note('begun');
      while (!existsSync(`${order.gate}/open`)) await delay(3);
      note('ended');
      return me;
    case 'spin':
      note('begun');
      while (!existsSync(`${order.gate}/open`));
      note('ended');
      return me;
    case 'cook':
      note('begun');
      await delay(order.ms);
      note('ended');
      return me;
    case 'stove':
      return me;
    case 'flags':
      for (let line = 0; line < 2_000; line++) console.log(JSON.stringify(process.execArgv));
      return;
    case 'nest': {
      let nest = {};
      for (let at = 0; at < order.depth; at++) nest = { nest };
      return nest;
    }
    case 'forge':
      parentPort?.postMessage(null);
      for (let id = 0; id < 100; id++) parentPort?.postMessage({ type: 'done', id });
      return 'a burger';
    case 'doze':
      return delay(order.ms);
    case 'reject':
      void Promise.reject(new RangeError('nobody caught it'));
      return delay(10_000);
    case 'burn':
      throw Object.assign(new RangeError('the burger is black'), { code: 'E_BLACK' });
    case 'toss':
      throw order.what === 'nothing' ? undefined : order.what === 'mute' ? { toString: null } : order.what;
    case 'leave':
      return process.exit(order.code);
    case 'lend':
      return () => me;
    case 'hash': {
      const { involuntaryContextSwitches: before } = process.resourceUsage();
      hash(order.steps);
      return process.resourceUsage().involuntaryContextSwitches - before;
    }
    case 'ask':
      return ask(order.port);
    case 'echo':
      return order.value;
  }
}
