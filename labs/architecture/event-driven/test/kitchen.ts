import { until } from '@shared/testkit';
import { onTestFinished } from 'vitest';
import { type Bus, delivery } from '#lab';

/** A bus that is being closed while its only group, which is being stopped, still has an event in hand. */
export async function closedWhileItStops(bus: Bus) {
  const gate = Promise.withResolvers<void>();
  onTestFinished(() => gate.resolve());
  const story: string[] = [];
  const reader = delivery.reader({
    OrderPlaced: async () => {
      story.push('begun');
      await gate.promise;
      story.push('cooked');
    },
  });
  const subscription = await bus.subscribe('kitchen', reader, { backoffMs: () => 1 });
  await bus.publish([delivery.create('OrderPlaced', '1', { dish: '鱼香肉丝饭', cents: 1800 })]);
  await until(() => story.length > 0);
  const stopped = subscription.stop();
  const closed = bus.close().then(() => story.push('closed'));
  return {
    story,
    /** Lets it finish, and waits for both ends. */
    finish: async () => {
      gate.resolve();
      await Promise.all([stopped, closed]);
    },
  };
}
