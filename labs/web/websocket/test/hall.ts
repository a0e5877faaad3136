import { text } from 'node:stream/consumers';
import { openHall } from './chat.ts';

// A hall in a process of its own: it gets its options on the standard input, and says where it listens.
const hall = await openHall(JSON.parse(await text(process.stdin)));
console.log(hall.url);
