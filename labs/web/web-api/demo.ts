import { tell } from '@shared/story';

await tell(
  { title: 'Web api 待定标题', subtitle: 'TODO: one line that says what this lab shows', dir: import.meta.dirname },
  async (story) => {
    await story.scene('What goes wrong', async () => {
      story.say('TODO: cause the failure and measure it.');
      story.verdict('TODO: the claim that this scene proves', 'nothing measured yet', false);
    });
  },
);
