// How fast a payload is checked: zod (which src/ uses), valibot and arktype on the same schema, interleaved in one run.
import { type } from 'arktype';
import * as v from 'valibot';
import { parseUser } from './src/index.ts';
import { userSchema } from './src/user.ts';
import { bad, good } from './test/payloads.ts';

const storable = (value: string) => value.isWellFormed() && !value.includes('\0');
const mail = /^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+\.[^\s@\p{Cc}]+$/u;

const text = (max: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(max), v.check(storable));
const valibot = v.strictObject({
  id: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  email: v.pipe(v.string(), v.maxLength(254), v.check(storable), v.regex(mail)),
  nickname: v.exactOptional(text(50)),
  age: v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(150))),
  newsletter: v.boolean(),
  address: v.strictObject({ city: text(100) }),
});

const arktype = type({
  '+': 'reject',
  id: '1 <= number.integer <= 9007199254740991',
  email: type('string <= 254').narrow((value) => storable(value) && mail.test(value)),
  'nickname?': type('1 <= string <= 50').narrow(storable),
  age: '0 <= number.integer <= 150 | null',
  newsletter: 'boolean',
  address: { '+': 'reject', city: type('1 <= string <= 100').narrow(storable) },
});

const contestants: Record<string, (input: unknown) => boolean> = {
  'zod, by parseUser': (input) => parseUser(input).ok,
  'zod alone': (input) => userSchema.safeParse(input).success,
  valibot: (input) => v.safeParse(valibot, input).success,
  arktype: (input) => !(arktype(input) instanceof type.errors),
};

console.log('Who stops what (of 12 wrong payloads; the bomb and the getters are in the suite):');
for (const [name, accepts] of Object.entries(contestants)) {
  const passed = Object.keys(bad).filter((what) => accepts(bad[what]?.input));
  console.log(
    `  ${name.padEnd(18)} ${12 - passed.length} stopped${passed.length ? `, lets in: ${passed.join('; ')}` : ''}`,
  );
}

const rounds = 15;
const calls = 20_000;
const times = new Map(Object.keys(contestants).map((name) => [name, Array.from({ length: 0 }, Number)]));
for (let round = 0; round < rounds; round++) {
  for (const [name, accepts] of Object.entries(contestants)) {
    const start = performance.now();
    for (let call = 0; call < calls; call++) accepts(good);
    times.get(name)?.push(performance.now() - start);
  }
}
const median = (values: readonly number[] = []) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const base = median(times.get('zod, by parseUser'));
console.log(`\nA good payload, ${calls} times, the median of ${rounds} interleaved rounds:`);
for (const [name, values] of times) {
  const ms = median(values);
  console.log(`  ${name.padEnd(18)} ${Math.round(calls / ms)} per ms, ${(base / ms).toFixed(2)} × parseUser`);
}
