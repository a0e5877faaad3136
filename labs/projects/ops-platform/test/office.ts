// A controller as a process of its own. Arguments: database, schema, implementation, lease in ms, and `pauses` for one that stops
// itself (SIGSTOP) once, between the look at what is due and the start of it: whoever started it lets it go on.
import { Pool } from 'pg';

const [database = '', schema = '', impl = '', leaseMs = '', pauses = ''] = process.argv.slice(2);
const lab: typeof import('../src/index.ts') = await import(impl);
let paused = pauses === '';

class Ops extends lab.Ops {
  override async due() {
    const due = await super.due();
    if (due.length > 0 && !paused) {
      paused = true;
      process.kill(process.pid, 'SIGSTOP');
    }
    return due;
  }

  override lead<T>(...[fence, write]: Parameters<typeof lab.Ops.prototype.lead<T>>): Promise<T> {
    return super.lead(fence, write).catch((error: unknown) => {
      if (error instanceof lab.StaleFenceError) console.log('refused');
      throw error;
    });
  }
}

const separator = database.includes('?') ? '&' : '?';
const pool = new Pool({ connectionString: `${database}${separator}options=-c%20search_path%3D${schema}`, max: 2 });
pool.on('error', () => {});
const controller = new lab.Controller({
  ops: new Ops({ pool }),
  leaseMs: Number(leaseMs),
  everyMs: 20,
  onError: (error) => console.error(error),
});
console.log('ready');
process.stdin
  .on('close', async () => {
    await controller[Symbol.asyncDispose]();
    process.exit();
  })
  .resume();
