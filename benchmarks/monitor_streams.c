/* The inner loops of benchmarks/monitor.py: one stream of pictures at a time, as fairgen.stats.sequential counts
 * it. monitor.py holds them against the Python code on every run. Built with: cc -O3 -ffast-math -shared -fPIC. */

#include <stdlib.h>
#include <string.h>

/* Number of the first picture, from 1, after which the evidence of an EProcess is at least `line`; 0: never.
 * learnt: the factor that the learning bet wins with each picture, or NULL; begins, unspent: the plan's. */
long first_alarm(const signed char *x, long length, int ways, const double *ratios, const double *weights,
                 const double *begins, const double *unspent, double learning, const double *learnt, double line) {
    double *wealth = calloc((size_t)ways, sizeof *wealth), money = 1.0;
    long found = 0;
    for (long t = 0; t < length && !found; t++) {
        const double *ratio = ratios + (size_t)ways * (size_t)x[t], begin = begins[t];
        double sum = unspent[t];
        for (int i = 0; i < ways; i++) {
            wealth[i] = (wealth[i] + begin) * ratio[i];
            sum += wealth[i] * weights[i];
        }
        if (learnt) money *= learnt[t];
        if (learning * money + (1.0 - learning) * sum >= line) found = t + 1;
    }
    free(wealth);
    return found;
}

/* Peak over all pictures of the largest of Page's CUSUMs (with a head start each), and the first picture, from 1,
 * at which it is at least `line`; 0: never. */
long cusum(const signed char *x, long length, int ways, const double *gains, const double *start, double line,
           double *peak) {
    double *sums = calloc((size_t)ways, sizeof *sums);
    long found = 0;
    *peak = -1e300;
    for (long t = 0; t < length && !found; t++) {
        const double *gain = gains + (size_t)ways * (size_t)x[t];
        double best = -1e300;
        for (int i = 0; i < ways; i++) {
            sums[i] = (sums[i] > 0 ? sums[i] : 0) + gain[i];
            double value = sums[i] + start[i];
            best = value > best ? value : best;
        }
        *peak = best > *peak ? best : *peak;
        if (best >= line) found = t + 1;
    }
    free(sums);
    return found;
}

/* First picture, from `first` on, at a multiple of `every`, at which Pearson's statistic is at least `line`. */
long chi_square(const signed char *x, long length, int k, const double *shares, long first, long every, double line) {
    double counts[32] = {0};
    for (long t = 0; t < length; t++) {
        counts[(int)x[t]] += 1;
        if (t + 1 < first || (t + 1) % every) continue;
        double sum = 0, n = (double)(t + 1);
        for (int i = 0; i < k; i++) {
            double gap = counts[i] - n * shares[i];
            sum += gap * gap / (n * shares[i]);
        }
        if (sum >= line) return t + 1;
    }
    return 0;
}

/* Whether log_excess of all shares stays below `line` at all moments. table[j] = lgamma(j + 1/2), whole[n] =
 * lgamma(n + 1) + log(pi). */
int covered(const signed char *x, long length, int k, const double *log_share, const double *log_rest,
            const double *table, const double *whole, double line) {
    long counts[32] = {0};
    for (long t = 0; t < length; t++) {
        counts[(int)x[t]] += 1;
        for (int i = 0; i < k; i++) {
            long in = counts[i], out = t + 1 - in;
            double excess = table[in] + table[out] - whole[t + 1] - in * log_share[i] - out * log_rest[i];
            if (excess >= line) return 0;
        }
    }
    return 1;
}
