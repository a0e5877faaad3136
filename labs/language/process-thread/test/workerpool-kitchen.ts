// The task of the benchmark, as workerpool wants it: its worker is a script that registers it.
import workerpool from 'workerpool';

workerpool.worker({ echo: (value: unknown) => value });
