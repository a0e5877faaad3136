import { expect, test } from '@playwright/test';

test.describe.configure({ retries: 1 });

test('passes when it is tried again', async () => {
  expect(test.info().retry, 'the second try').toBe(1);
});
