// The tasks of the benchmark, as workerpool wants them: its worker is a script that registers them.
import workerpool from 'workerpool';
import { develop, jam, size, spin, tear } from './photo-lab.ts';

workerpool.worker({ develop, size, spin, tear, jam });
