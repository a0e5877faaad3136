import { expect, test } from 'vitest';
import { DeadlineError, until } from '../src/index.ts';

test('until returns the first truthy answer', async () => {
  let asked = 0;
  await expect(until(() => (asked++ < 3 ? undefined : 'there'))).resolves.toBe('there');
  expect(asked).toBe(4);
});

test('a probe that throws is asked again', async () => {
  let asked = 0;
  const probe = () => {
    if (asked++ === 0) throw new Error('refused');
    return true;
  };
  await expect(until(probe)).resolves.toBe(true);
});

test('a deadline says what was awaited and what was seen last', async () => {
  const never = until(() => 0, { timeoutMs: 20, what: 'the key to expire' });
  await expect(never).rejects.toThrow(/^waited \d+ ms for the key to expire; it last saw 0$/);
});

test('a deadline carries the last error of the probe', async () => {
  const refused = new Error('refused');
  const never = until(() => Promise.reject(refused), { timeoutMs: 20 });
  await expect(never).rejects.toMatchObject({ name: 'DeadlineError', cause: refused });
  await expect(never).rejects.toThrow('it last threw refused');
});

test('a stub that is not written yet is not waited for', async () => {
  let asked = 0;
  const probe = () => {
    asked++;
    throw new Error('acquire is not written yet: its comment says what it must do');
  };
  await expect(until(probe)).rejects.toThrow('acquire is not written yet');
  expect(asked).toBe(1);
});

test('a probe that hangs does not hold up the deadline', async () => {
  const never = until(() => new Promise<boolean>(() => undefined), { timeoutMs: 20 });
  await expect(never).rejects.toBeInstanceOf(DeadlineError);
});
