import { fork } from 'node:child_process';
import { once } from 'node:events';

export interface Shop extends AsyncDisposable {
  readonly url: string;
  /** Stops the whole process of the shop for so many milliseconds, from about now. */
  stall(ms: number): Promise<void>;
  served(): Promise<number>;
}

/** A shop in a process of its own: one that shares ours would be as busy as we are. */
export async function startShop(serveMs = 0, cashiers = 5): Promise<Shop> {
  const child = fork(new URL('./shop.ts', import.meta.url), [String(serveMs), String(cashiers)]);
  const [port] = await once(child, 'message');
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    stall: async (ms) => void (await fetch(`${url}/stall?ms=${ms}`).then((answer) => answer.text())),
    served: async () => Number(await (await fetch(`${url}/served`)).text()),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}
