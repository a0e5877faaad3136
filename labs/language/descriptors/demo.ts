import { tell } from '@shared/story';
await tell({ title: 'x', dir: import.meta.dirname }, async (story) => { await story.scene('x', async () => story.verdict('x','y',true)); });
