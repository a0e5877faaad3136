/** A worker's script. Its environment says what shall befall the workers, by their numbers: `killed,hangs`, for example. */
import { spawn } from 'node:child_process';
import { user, work } from '#lab';

const fates = (process.env['LAB_FATES'] ?? '').split(',');
let visits = 0;
if (fates.includes('told')) console.log(process.pid);

await work(
  user({
    wait: (random) => 0.01 + 0.01 * random(),
    tasks: [
      [
        1,
        async (session) => {
          const fate = visits++ === 0 ? fates[session.id % fates.length] : undefined;
          // It befalls a worker in its first task, which begins at once however slow the machine is.
          if (fate === 'leaves') process.exit(0);
          if (fate === 'killed') process.kill(process.pid, 'SIGKILL');
          if (fate === 'stops') {
            spawn('sh', ['-c', `sleep 1.5; kill -CONT ${process.pid}`], { detached: true, stdio: 'ignore' }).unref();
            process.kill(process.pid, 'SIGSTOP');
          }
          if (fate === 'hangs') process.kill(process.pid, 'SIGSTOP');
          await session.request(`/visit?${session.id}`, { name: 'visit' });
        },
      ],
    ],
  }),
);
