import { fileURLToPath } from 'node:url';

/** A shop's rule for discounts, its tests, and a pull request: files that the demo writes into a folder of its own. */
export type Files = Readonly<Record<string, string>>;

const price = `/** What an order comes to, in cents: members have a tenth off, orders of 100.00 and more 5.00. */
export function price(cents: number, member: boolean): number {
  let due = cents;
  if (member) due -= cents * 0.1;
  if (cents >= 10_000) due -= 500;
  return due < 0 ? 0 : due;
}
`;

/** Every line, branch and function is run. Nobody looks at what an order comes to. */
const walk = `import { expect, test } from 'vitest';
import { price } from '../src/price.ts';

test('a member orders', () => {
  expect(price(5_000, true)).toBeGreaterThan(0);
});
test('a large order', () => {
  price(20_000, false);
});
test('a refund', () => {
  price(-100, false);
});
`;

const look = `import { expect, test } from 'vitest';
import { price } from '../src/price.ts';

test.for([
  ['a member has a tenth off', 5_000, true, 4_500],
  ['a guest pays what it costs', 9_999, false, 9_999],
  ['at 100.00 there are 5.00 off', 10_000, false, 9_500],
  ['nobody is paid for an order', -100, false, 0],
] as const)('%s', ([, cents, member, due]) => {
  expect(price(cents, member)).toBe(due);
});
`;

const config = `export default {
  test: {
    include: ['test/*.test.ts'],
    watch: false,
    pool: 'threads',
    isolate: false,
    coverage: { provider: 'v8', reporter: ['lcovonly', 'json-summary'], reportsDirectory: 'coverage' },
  },
};
`;

const stryker = JSON.stringify({
  testRunner: 'vitest',
  plugins: [fileURLToPath(import.meta.resolve('@stryker-mutator/vitest-runner'))],
  reporters: ['json'],
  jsonReporter: { fileName: 'mutation.json' },
  mutate: ['src/price.ts'],
  concurrency: 1,
  disableBail: true,
  // Eight changes tell the story; a condition that is always true or false makes six more, of half a second each.
  mutator: { excludedMutations: ['ConditionalExpression'] },
  tempDirName: 'sandbox',
  disableTypeChecks: false,
  vitest: { configFile: 'vitest.config.ts' },
});

const project = { 'package.json': '{ "name": "shop", "type": "module" }\n', 'vitest.config.ts': config };

/** The rule, with both suites: Stryker notes for each mutant which tests notice it. */
export const rule: Files = {
  ...project,
  'stryker.config.json': stryker,
  'src/price.ts': price,
  'test/walk.test.ts': walk,
  'test/look.test.ts': look,
};

const receipt = (body: string) => `/** A receipt's lines. */
export function receipt(items: readonly { name: string; cents: number }[]): string[] {
  const lines = items.map(({ name, cents }) => \`\${name} \${cents}\`);
${body}  return lines;
}
`;

const oldBody = `  if (items.length === 0) {
    lines.push('nothing bought');
    lines.push('come again');
  }
`;

const receiptTest = `import { expect, test } from 'vitest';
import { receipt } from '../src/receipt.ts';

test('a receipt has its lines', () => {
  expect(receipt([{ name: 'tea', cents: 300 }])).toEqual(['tea 300']);
});
`;

/** Before the pull request: of the rule, the first suite alone. */
export const before: Files = {
  ...project,
  'src/price.ts': price,
  'src/receipts.ts': receipt(oldBody),
  'test/price.test.ts': walk,
  'test/receipt.test.ts': receiptTest.replace('receipt.ts', 'receipts.ts'),
};

const labels = ['tea', 'coffee', 'cake', 'milk', 'rice', 'soup'];

/** A file renamed and edited, labels that any import covers, and a refund that no test loads. */
export const after: Files = {
  ...project,
  'src/price.ts': price,
  'src/receipt.ts': receipt(`${oldBody}  if (items.length > 20) {
    lines.unshift('a long receipt');
    lines.push('thank you');
  }
`),
  'src/labels.ts': `export const labels = new Map<string, string>();
${labels.map((name) => `labels.set('${name}', '${name.toUpperCase()}');\n`).join('')}`,
  'src/refund.ts': `/** What is paid back for an order. */
export function refund(cents: number, days: number): number {
  if (days > 30) return 0;
  return days > 14 ? cents / 2 : cents;
}
`,
  'test/price.test.ts': look,
  'test/receipt.test.ts': receiptTest,
  'test/labels.test.ts': `import { expect, test } from 'vitest';
import { labels } from '../src/labels.ts';

test('there are labels', () => {
  expect(labels.size).toBe(${labels.length});
});
`,
};
