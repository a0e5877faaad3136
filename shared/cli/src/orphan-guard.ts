// Preloaded into a spawned demo. It watches from a thread of its own, so that a busy demo ends too.
import { Worker } from 'node:worker_threads';

const watcher = new Worker(new URL('./orphan-watcher.ts', import.meta.url), { execArgv: [], stdin: false });
watcher.unref();
