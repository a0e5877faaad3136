import { tell } from '@shared/story';

await tell(
  {
    title: 'Migrations 数据库迁移',
    subtitle:
      'Parcel addresses split while couriers write: expand, backfill in resumable batches, verify, contract; checksums, lock_timeout, one runner at a time',
    dir: import.meta.dirname,
  },
  async (story) => {
    await story.scene('What goes wrong', async () => {
      story.say('TODO: cause the failure and measure it.');
      story.verdict('TODO: the claim that this scene proves', 'nothing measured yet', false);
    });
  },
);
