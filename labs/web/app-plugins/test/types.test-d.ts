// Laws for the compiler: nothing here is run.
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { definePlugin, type Plugin, type Secret, secret } from '#lab';

const till = definePlugin({
  name: 'till',
  config: z.object({ currency: z.string().default('EUR'), pin: secret(), drawers: z.coerce.number() }),
  setup: async ({ config, needs }) => {
    expectTypeOf(config).toEqualTypeOf<{ currency: string; pin: Secret; drawers: number }>();
    expectTypeOf<keyof typeof needs>().toBeNever();
    return { take: (cents: number) => `${cents}` };
  },
  teardown: (provided) => {
    expectTypeOf(provided).toEqualTypeOf<{ take: (cents: number) => string }>();
  },
});
const bell = definePlugin({ name: 'bell', setup: () => 'ding' as const });

test('setup knows its configuration, and what it needs by the names of what it depends on', () => {
  definePlugin({
    name: 'fish',
    dependencies: [till, bell],
    setup: ({ needs, config }) => {
      expectTypeOf(needs.till.take).returns.toEqualTypeOf<string>();
      expectTypeOf(needs.bell).toEqualTypeOf<'ding'>();
      // @ts-expect-error not a dependency
      needs.scales;
      // @ts-expect-error it takes none
      config.price;
      // @ts-expect-error cents are a number
      needs.till.take('3');
    },
  });
});

test('a mount takes what the schema takes, and may leave out what need not be there', () => {
  till.with({ pin: 'open sesame', drawers: '3' });
  till.at('/till', { pin: 'open sesame', drawers: 3, currency: 'CHF' });
  bell.with();
  bell.with({});
  // @ts-expect-error no pin
  till.with({ drawers: 3 });
  // @ts-expect-error it has to be there
  till.with();
  // @ts-expect-error a currency is a text
  till.at('/till', { pin: 'open sesame', drawers: 3, currency: 3 });
  // @ts-expect-error a prefix
  bell.at();
});

test('what stands in for a plugin provides the same', () => {
  const fake: typeof bell = definePlugin({ name: 'bell', setup: () => 'ding' as const });
  // @ts-expect-error it says something else
  const wrong: typeof bell = definePlugin({ name: 'bell', setup: () => 'dong' as const });
  // @ts-expect-error it has another name
  const other: typeof bell = definePlugin({ name: 'gong', setup: () => 'ding' as const });
  expectTypeOf<typeof bell>().toExtend<Plugin>();
  expectTypeOf([fake, wrong, other]).not.toBeAny();
});
