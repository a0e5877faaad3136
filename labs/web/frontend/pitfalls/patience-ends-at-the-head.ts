// Flaw: the timer is cleared when `fetch` resolves, which it does at the head: a server that stops in the middle of the body is waited for without end.
// Seen in: https://github.com/workos/workos-node/issues/1679
// Caught by: each way in which a call fails is told apart, and none hangs
import { type ExchangeOptions, exchange as reference, SlowServerError } from '../src/index.ts';

export * from '../src/index.ts';

export async function exchange(request: Request, o: ExchangeOptions = {}): Promise<Response> {
  const { timeoutMs = 8000, fetch = (it) => globalThis.fetch(it) } = o;
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  const head = (it: Request) =>
    fetch(new Request(it, { signal: AbortSignal.any([it.signal, deadline.signal]) })).finally(() =>
      clearTimeout(timer),
    );
  try {
    return await reference(request, { timeoutMs: 2 ** 31 - 1, fetch: head });
  } catch (error) {
    throw deadline.signal.aborted ? new SlowServerError(timeoutMs) : error;
  }
}
