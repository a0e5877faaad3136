import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

const bell = new EventEmitter();
bell.on('placed', () => {});
bell.on('placed', async () => {
  throw new Error('no paper');
});
for (let n = 0; n < 10; n++) {
  console.log('order');
  bell.emit('placed');
  await delay(1);
}
