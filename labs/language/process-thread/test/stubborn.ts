// An entry that has its process killed at so many first starts as its URL's query says: the file named there counts them.
import { appendFileSync, readFileSync } from 'node:fs';

const [, times = '', starts = ''] = /^.(\d)(.*)$/.exec(new URL(import.meta.url).search) ?? [];
const file = decodeURIComponent(starts);
appendFileSync(file, '.');
if (readFileSync(file, 'utf8').length <= Number(times)) process.kill(process.pid, 'SIGKILL');
export default () => 'a burger';
