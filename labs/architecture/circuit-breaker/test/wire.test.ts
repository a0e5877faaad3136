import { until } from '@shared/testkit';
import { expect, test } from 'vitest';
import { CallTimeoutError, CircuitBreaker } from '#lab';
import { ask, startPatient } from './shop.ts';

test('a time limit ends the request on the wire', async () => {
  await using service = await startPatient({}, 1);
  service.fallIll(Number.POSITIVE_INFINITY);
  const breaker = new CircuitBreaker({ timeoutMs: 50 });
  // On a slow machine the first request may not have left the house in time.
  while (service.seen.received === 0) {
    await expect(breaker.run((signal) => ask(service.url, signal))).rejects.toThrow(CallTimeoutError);
  }
  await until(() => service.seen.underWay === 0, { what: 'the server to work at nothing any more' });
  expect(service.seen.cancelled).toBe(service.seen.received);
});
