/**
 * A shop as it runs in production: nothing in it knows of a profiler. Its first argument says what it is busy with. It ends
 * when whoever started it does.
 */
import { createHook } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import inspector from 'node:inspector';
import { createServer as openPort } from 'node:net';
import { isMainThread, Worker } from 'node:worker_threads';

const menu = Array.from({ length: 100 }, (_, id) => ({ id, name: `oolong ${id}`, sizes: ['S', 'L'], price: id * 1.5 }));
let sink = 0;
let hot = 0;
let all = 0;
let guests = 0;

/** Turns the menu into JSON anew for each guest; once fixed, for the first one only. */
let kept: string | undefined;
const fixed = process.argv[3] === 'fixed';
function hotJson(): void {
  for (let guest = 0; guest < 60; guest++) {
    if (!fixed) kept = undefined;
    kept ??= JSON.stringify(menu);
    sink += kept.length;
  }
}
function priceOf(): void {
  let sum = 0;
  for (let step = 0; step < 100_000; step++) sum += Math.sqrt(step);
  sink += sum;
}
function sayHello(): void {
  sink++;
}

const steps = [sayHello, hotJson, priceOf];
function serve(): void {
  const from = performance.now();
  for (const step of steps) {
    const begun = performance.now();
    step();
    if (step === hotJson) hot += performance.now() - begun;
  }
  all += performance.now() - from;
  guests++;
}

function checkPassword(guest: number): number {
  let sum = 0;
  for (let round = 0; round < 200; round++) sum += Math.sqrt(guest * round);
  return sum;
}
function login(guest: number): number {
  return guest % 5 === 0 ? sink : checkPassword(guest);
}

const receipts: object[] = [];
function keepReceipt(): void {
  for (let item = 0; item < 50; item++) receipts.push({ item, lines: new Array(40).fill(item) });
}
function wipeTable(): void {
  for (let item = 0; item < 100; item++) sink += new Array(40).fill(item).length;
}

function pause(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; ) sink++;
}

/** Ends with its parent: also when no event is ever handled, since this loop looks itself. */
function loopForever(): void {
  for (const parent = process.ppid; process.ppid === parent; )
    for (let turn = 0; turn < 50; turn++) for (const step of steps) step();
  process.exit();
}

/** Two ports that are no inspector's: one says nothing, one calls itself an inspector and talks nonsense. */
function openPorts(): void {
  openPort(() => {}).listen(0, '127.0.0.1');
  const nonsense = createServer((request, response) => {
    response.end(JSON.stringify([{ webSocketDebuggerUrl: `ws://${request.headers.host}/` }]));
  });
  nonsense.on('upgrade', ({ headers }, socket) => {
    const accept = createHash('sha1').update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
    socket.write(
      [...head, `Sec-WebSocket-Accept: ${accept.digest('base64')}`, '', '\x81\x04null'].join('\r\n'),
      'latin1',
    );
    socket.on('error', () => {}).write('\x81\x03no!', 'latin1');
  });
  nonsense.listen(0, '127.0.0.1');
}

if (isMainThread && process.send) {
  process.on('disconnect', () => process.exit());
  process.on('message', () => process.send?.({ hot, all, guests, cpuUs: process.cpuUsage().user }));
  const busyWith: Record<string, () => void> = {
    // Guests come in groups: who samples in step with them would see each group at many places, one guest always at the same.
    serving: () =>
      setInterval(() => {
        for (let guest = 0; guest < 6; guest++) serve();
      }, 12),
    looping: () => setImmediate(loopForever),
    // One guest in five has no password.
    logins: () => {
      let guest = 0;
      setInterval(() => {
        for (let turn = 0; turn < 10; turn++) login(guest++);
      }, 5);
    },
    leaking: () => {
      setInterval(() => [keepReceipt, wipeTable].forEach((step) => void step()), 5);
    },
    stalling: () => setInterval(() => pause(150), 200),
    thread: () => void new Worker('setInterval(() => {}, 1000)', { eval: true, name: 'roaster' }),
    opening: () => process.once('message', openPorts),
    // As Node.js was before 20.16.
    older: () => Reflect.deleteProperty(process, 'getBuiltinModule'),
    listening: () => {
      process.on('SIGUSR1', () => {});
      // A port that sends whoever asks for an inspector elsewhere.
      createServer((_request, response) => {
        response.end(JSON.stringify([{ webSocketDebuggerUrl: `ws://127.0.0.1:${process.argv[3]}/` }]));
      }).listen(0, '127.0.0.1');
    },
    refusing: () => {
      Object.defineProperty(performance, 'eventLoopUtilization', { value: undefined });
      inspector.close = () => {
        throw new Error('not now');
      };
    },
    // As with a tracer that looks at each callback: what comes from outside comes between a timer's end and its callback.
    traced: () => createHook({ before: () => pause(30) }).enable(),
    nothing: () => setInterval(() => {}, 1000),
  };
  busyWith[process.argv[2] ?? 'serving']?.();
  process.send('open');
}
