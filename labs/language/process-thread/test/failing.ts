throw new RangeError('no gas');
