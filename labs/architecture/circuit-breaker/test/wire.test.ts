import { outcome } from '@shared/testkit';
import { expect, test } from 'vitest';
import { CallTimeoutError, CircuitBreaker } from '#lab';
import { ask, startPatient } from './shop.ts';

test('a time limit ends the request on the wire', async () => {
  await using service = await startPatient({}, 1);
  service.fallIll(Number.POSITIVE_INFINITY);
  const breaker = new CircuitBreaker({ timeoutMs: 50 });
  // On a slow machine the first request may not have left the house in time.
  while (service.seen.received === 0) {
    const { error } = await outcome(breaker.run((signal) => ask(service.url, signal)));
    expect(error).toBeInstanceOf(CallTimeoutError);
  }
  // As long as 200 requests to somebody else take, one after the other: on a slow machine they are slow, too.
  await using healthy = await startPatient({}, 0);
  for (let n = 0; n < 200 && service.seen.underWay > 0; n++) await ask(healthy.url, new AbortController().signal);
  expect(service.seen.underWay, 'requests that the server still works at').toBe(0);
  expect(service.seen.cancelled).toBe(service.seen.received);
});
