import { Socket } from 'node:net';

/** Milliseconds that an orphaned demo has for its clean-up. */
const graceMs = 5_000;

// File descriptor 3 is a pipe that the CLI holds open and never writes to: its end means that the CLI is gone.
const parent = new Socket({ fd: 3, readable: true, writable: false });
parent.on('error', () => {});
parent.once('close', () => {
  process.kill(process.pid, 'SIGINT');
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs);
});
parent.resume();
