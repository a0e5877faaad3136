import { tell } from '@shared/story';

await tell(
  {
    title: 'Tracing 链路追踪',
    subtitle:
      "The parcel's waybill: one trace through HTTP, gRPC, a queue and Postgres, what instrumentation silently misses, and where the time went",
    dir: import.meta.dirname,
  },
  async (story) => {
    await story.scene('What goes wrong', async () => {
      story.say('TODO: cause the failure and measure it.');
      story.verdict('TODO: the claim that this scene proves', 'nothing measured yet', false);
    });
  },
);
