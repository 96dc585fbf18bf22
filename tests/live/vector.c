// The main thread keeps patterns in all vector registers and looks at nothing else.
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>
#define LIVE_NO_MAIN
#include "live.h"
static atomic_int corrupted;
static atomic_long rounds;
NOINLINE int f(int x) {
	return x + 1; //-
	return x + 2; //+
}
static void *serve(void *arg) {
	char line[100];
	int v;
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		if (sscanf(line, "check %d", &v) == 1) {
			long before = rounds;
			for (int n = 0; n < 100 && (n < 1 || rounds == before); n++)
				usleep(20000);
			puts(f(1) != (v ? 3 : 2) ? "wrong version" : corrupted ? "corrupted" :
			     rounds == before ? "the spinning thread stands" : "ok");
			fflush(stdout);
		}
	exit(0);
	return arg;
}
#ifdef __x86_64__
#define KEEP_AND_COMPARE(bad, pattern) __asm__ volatile( \
	"vmovupd (%1), %%ymm0\n vmovapd %%ymm0, %%ymm1\n vmovapd %%ymm0, %%ymm7\n" \
	"vmovapd %%ymm0, %%ymm15\n vmovapd %%ymm0, %%ymm12\n vmovapd %%ymm0, %%ymm5\n" \
	"mov $200000, %%ecx\n 1: dec %%ecx\n jnz 1b\n" \
	"vcmppd $4, %%ymm0, %%ymm1, %%ymm2\n vcmppd $4, %%ymm7, %%ymm15, %%ymm3\n" \
	"vcmppd $4, %%ymm12, %%ymm5, %%ymm4\n vcmppd $4, (%1), %%ymm5, %%ymm6\n" \
	"vorpd %%ymm2, %%ymm3, %%ymm2\n vorpd %%ymm4, %%ymm2, %%ymm2\n" \
	"vorpd %%ymm6, %%ymm2, %%ymm2\n vmovmskpd %%ymm2, %0\n" \
	: "=r"(bad) : "r"(pattern) \
	: "ecx", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", \
	  "xmm7", "xmm12", "xmm15")
#elif defined(__aarch64__)
#define KEEP_AND_COMPARE(bad, pattern) __asm__ volatile( \
	"ldr q0, [%1]\n mov v1.16b, v0.16b\n mov v7.16b, v0.16b\n mov v15.16b, v0.16b\n" \
	"mov v31.16b, v0.16b\n mov w9, #50000\n 1: subs w9, w9, #1\n b.ne 1b\n" \
	"ldr q2, [%1]\n eor v0.16b, v0.16b, v2.16b\n eor v1.16b, v1.16b, v2.16b\n" \
	"eor v7.16b, v7.16b, v2.16b\n eor v15.16b, v15.16b, v2.16b\n" \
	"eor v31.16b, v31.16b, v2.16b\n orr v0.16b, v0.16b, v1.16b\n" \
	"orr v0.16b, v0.16b, v7.16b\n orr v0.16b, v0.16b, v15.16b\n" \
	"orr v0.16b, v0.16b, v31.16b\n umaxv b0, v0.16b\n umov %w0, v0.b[0]\n" \
	: "=r"(bad) : "r"(pattern) : "w9", "cc", "v0", "v1", "v2", "v7", "v15", "v31")
#elif defined(__s390x__) /* v16 to v31 are whole vector registers, f0 to f15 halves of others */
#define KEEP_AND_COMPARE(bad, pattern) __asm__ volatile( \
	".machine push\n .machine z13\n" \
	"vl %%v0,0(%1)\n vlr %%v1,%%v0\n vlr %%v7,%%v0\n vlr %%v16,%%v0\n" \
	"vlr %%v31,%%v0\n lghi %%r4,5000\n 1: brctg %%r4,1b\n" \
	"vl %%v2,0(%1)\n vx %%v0,%%v0,%%v2\n vx %%v1,%%v1,%%v2\n vx %%v7,%%v7,%%v2\n" \
	"vx %%v16,%%v16,%%v2\n vx %%v31,%%v31,%%v2\n vo %%v0,%%v0,%%v1\n" \
	"vo %%v0,%%v0,%%v7\n vo %%v0,%%v0,%%v16\n vo %%v0,%%v0,%%v31\n" \
	"vlgvg %%r4,%%v0,0\n vlgvg %%r5,%%v0,1\n ogr %%r4,%%r5\n lhi %0,0\n" \
	"locrne %0,%%r4\n .machine pop\n" \
	: "=&r"(bad) : "a"(pattern) : "r4", "r5", "cc", "f0", "f1", "f2", "f7")
#elif defined(__powerpc64__) /* vs0 to vs31 are f0 to f31, and vs32 to vs63 v0 to v31 */
#define KEEP_AND_COMPARE(bad, pattern) __asm__ volatile( \
	"lxvd2x 0,0,%1\n xxlor 13,0,0\n xxlor 32,0,0\n xxlor 63,0,0\n xxlor 51,0,0\n" \
	"li 9,1000\n mtctr 9\n 1: bdnz 1b\n" \
	"lxvd2x 1,0,%1\n xxlxor 0,0,1\n xxlxor 13,13,1\n xxlxor 32,32,1\n" \
	"xxlxor 63,63,1\n xxlxor 51,51,1\n xxlor 0,0,13\n xxlor 0,0,32\n xxlor 0,0,63\n" \
	"xxlor 0,0,51\n mfvsrd 9,0\n xxpermdi 0,0,0,2\n mfvsrd 10,0\n or. 9,9,10\n" \
	"li %0,0\n beq 2f\n li %0,1\n 2:\n" \
	: "=&r"(bad) : "b"(pattern) : "r9", "r10", "ctr", "cr0", "fr0", "fr1", "fr13", \
	  "v0", "v31", "v19")
#endif
int main(void) {
	static const double pattern[4] = { 1.25, -7.5, 3e100, 42 };
	/* An emulated machine has one processor, which who spins keeps for a tenth of a second. */
	bool rests = getenv("STITCH_SLOW") != NULL;
	pthread_t t;
	pthread_create(&t, NULL, serve, NULL);
	for (;;) {
		unsigned bad = 0;
		if (rests && rounds % 64 == 0)
			usleep(200);
		KEEP_AND_COMPARE(bad, pattern);
		if (bad)
			corrupted = 1;
		rounds++;
	}
}
