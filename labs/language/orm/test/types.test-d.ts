// Laws for the compiler: nothing here is run.
import { test } from 'vitest';
import { Avg, Count, type Database, F, Field, ForeignKey, type Many, Max, Model, Q, Ref, Reverse, Sum } from '#lab';
import { Author, Book, Order, type Publisher } from './bookshop.ts';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};
declare const db: Database;
declare const author: Author;
const books = Book.objects(db);

test('an object is made of its fields, in their types', () => {
  same<Awaited<ReturnType<typeof books.get>>, Book>(true);
  Book.of({ title: 'x', price: '1.00', author, stock: 3 });
  Book.of({ author: 7 });
  Book.of({ author: Ref.key(Author, 7) });
  Order.of({ state: 'paid' });
  // @ts-expect-error no such field
  Book.of({ titel: 'x' });
  // @ts-expect-error a number in a text column
  Book.of({ title: 7 });
  // @ts-expect-error not one of the choices
  Order.of({ state: 'lost' });
  // @ts-expect-error another entity
  Book.of({ author: Book.of({}) });
  // @ts-expect-error a relation to many isn't set
  Author.of({ books: [] });
  // @ts-expect-error undefined means nothing
  Book.of({ title: undefined });
});

test('a condition has a known name, a lookup of its type and a value of its type', () => {
  books.filter({ title: 'x', stock__gte: 1, blurb: null, price__range: ['1', '2'], author__in: [author, 3] });
  books.filter({ author__name__icontains: 'x', author__publisher__name__in: ['a'], author__publisher__isnull: true });
  books.filter({ reviews__stars__gt: 3, stock: F('id') });
  books.filter(Q.or({ title: 'x' }, Q.not({ stock__lt: 3 })), Q.and({ id: 1 }, { id__gt: 0 }));
  Author.objects(db).filter({ books__reviews__stars: 5, createdAt__lt: new Date() });
  // @ts-expect-error no such field
  books.filter({ titel: 'x' });
  // @ts-expect-error no such lookup
  books.filter({ title__like: 'x' });
  // @ts-expect-error numbers have no icontains
  books.filter({ stock__icontains: 'x' });
  // @ts-expect-error a text for a number
  books.filter({ stock__gt: '3' });
  // @ts-expect-error one value for a list
  books.filter({ stock__in: 3 });
  // @ts-expect-error nothing compares to null
  books.filter({ stock__gt: null });
  // @ts-expect-error this column is never NULL
  books.filter({ title: null });
  // @ts-expect-error undefined asks for nothing
  books.filter({ title: undefined });
  // @ts-expect-error no such field behind the relation
  books.filter({ author__nom: 'x' });
  // @ts-expect-error a text behind the relation
  books.filter({ author__name: 3 });
  // @ts-expect-error a publisher is no author
  books.filter({ author: {} as Publisher });
  // @ts-expect-error no such column to compare with
  books.filter({ stock: F('stocks') });
  // @ts-expect-error wrong key inside of Q
  books.filter(Q.or({ titel: 'x' }, { stock: 3 }));
  // @ts-expect-error wrong value inside of Q
  books.filter(Q.not({ stock: 'x' }));
  // @ts-expect-error wrong key after a right one
  books.filter(Q.and({ title: 'x', titel: 'y' }));
  // @ts-expect-error get filters too
  books.get({ titel: 'x' });
});

test('an order, a column and a relation are known names, and rows have the types of what was selected', () => {
  books
    .orderBy('-price', 'author__name')
    .selectRelated('author', 'author__publisher')
    .prefetch('reviews', 'author__books');
  // @ts-expect-error no such column
  books.orderBy('-prize');
  // @ts-expect-error many values have no order
  books.orderBy('reviews');
  // @ts-expect-error a JOIN follows foreign keys only
  books.selectRelated('reviews');
  // @ts-expect-error no relation
  books.prefetch('title');
  const rows = books.values('title', 'author__name', 'author__publisher__name', 'author');
  same<
    Awaited<ReturnType<typeof rows.get>>,
    { title: string; author__name: string; author__publisher__name: string | null; author: number }
  >(true);
  // @ts-expect-error no such column
  books.values('nom');
});

test('an aggregate has the type of what it adds up', () => {
  const counted = Author.objects(db).annotate({
    titles: Count('books'),
    dearest: Max('books__price'),
    mean: Avg('books__stock'),
  });
  type Counted = Awaited<ReturnType<typeof counted.get>>;
  same<
    Pick<Counted, 'titles' | 'dearest' | 'mean' | 'name'>,
    { titles: number; dearest: string | null; mean: number | null; name: string }
  >(true);
  counted.filter({ titles__gt: 3 }).orderBy('-titles').values('name', 'titles');
  // @ts-expect-error no such relation
  Author.objects(db).annotate({ titles: Count('boks') });
  // @ts-expect-error no such annotation
  counted.orderBy('-title_count');
  // @ts-expect-error a count is a number
  counted.filter({ titles__gt: 'x' });
  const sums = books.aggregate({ stock: Sum('stock'), price: Max('price'), n: Count('id') });
  same<Awaited<typeof sums>, { stock: number | null; price: string | null; n: number }>(true);
});

test('a change has a known name and a value or an expression of its type', () => {
  books.filter({ id: 1 }).update({ stock: F('stock').minus(1), title: 'x', author });
  // @ts-expect-error no such field
  books.update({ titel: 'x' });
  // @ts-expect-error a text for a number
  books.update({ stock: 'x' });
  // @ts-expect-error no such column
  books.update({ stock: F('stocks').plus(1) });
});

test("a property that is not of its column's type does not compile", () => {
  class Wrong extends Model {
    @Field.int({ primaryKey: true }) declare id: number;
    // @ts-expect-error an int isn't a string
    @Field.int() declare a: string;
    // @ts-expect-error NULL isn't in the type
    @Field.char({ max: 5, null: true }) declare b: string;
    // @ts-expect-error NULL is only in the type
    @Field.char({ max: 5 }) declare c: string | null;
    // @ts-expect-error a bigint isn't a number
    @Field.bigint() declare d: number;
    // @ts-expect-error a choice is missing
    @Field.char({ max: 5, choices: ['x', 'y'] }) declare e: 'x';
    // @ts-expect-error the default is of another type
    @Field.int({ default: 'x' }) declare f: number;
    // @ts-expect-error a reference to another entity
    @ForeignKey(() => Author, { onDelete: 'cascade' }) declare g: Ref<Book>;
    // @ts-expect-error no such deletion rule
    @ForeignKey(() => Author, { onDelete: 'explode' }) declare h: Ref<Author>;
    // @ts-expect-error no foreign key of Book
    @Reverse(() => Book, 'title') declare i: Many<Book>;
  }
  void Wrong;
});
