/* Stride scheduling with constant shares, by a binary heap: what benchmarks/cpu.py compares with.

   The k-th quantum of a client with s shares has the pass k / s; the smallest is next, ties by
   number. order[n] is who has quantum n. */

#include <stdlib.h>

typedef struct {
    double at;
    int client;
} entry;

static int before(entry a, entry b) {
    return a.at < b.at || (a.at == b.at && a.client < b.client);
}

void stride(const double *shares, int clients, long quanta, int *order) {
    entry *heap = malloc(clients * sizeof *heap);
    long *turns = malloc(clients * sizeof *turns);
    for (int i = 0; i < clients; i++) {
        entry e = {1 / shares[i], i};
        int k = i;
        while (k && before(e, heap[(k - 1) / 2])) {
            heap[k] = heap[(k - 1) / 2];
            k = (k - 1) / 2;
        }
        heap[k] = e;
        turns[i] = 1;
    }
    for (long n = 0; n < quanta; n++) {
        entry e = heap[0];
        int k = 0, child;
        order[n] = e.client;
        e.at = ++turns[e.client] / shares[e.client];
        while ((child = 2 * k + 1) < clients) {
            if (child + 1 < clients && before(heap[child + 1], heap[child])) child++;
            if (!before(heap[child], e)) break;
            heap[k] = heap[child];
            k = child;
        }
        heap[k] = e;
    }
    free(heap);
    free(turns);
}
