import { text } from 'node:stream/consumers';
import { Presence } from '#lab';

// Somebody in a process of its own, to be killed.
const { who, ...options } = JSON.parse(await text(process.stdin));
const presence = new Presence({ ...options, onError: () => {} });
await presence.enter('board', who);
console.log('here');
setInterval(() => {}, 1000);
