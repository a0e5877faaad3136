import { text } from 'node:stream/consumers';
import { ChannelLayer, Presence } from '#lab';
import { ChannelLayer as InProcess } from '../pitfalls/in-process-groups.ts';
import { Presence as ByFarewell } from '../pitfalls/presence-by-farewell.ts';
import { openHall } from './chat.ts';

// A hall in a process of its own: it gets its options on the standard input, and says where it listens.
const { naive, ...options } = JSON.parse(await text(process.stdin));
const hall = await openHall(options, naive ? InProcess : ChannelLayer, naive ? ByFarewell : Presence);
console.log(hall.url);
