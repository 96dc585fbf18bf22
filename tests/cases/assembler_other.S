	.text
	.globl first
	.type first, @function
first:
	.cfi_startproc
	leal 10(%rdi), %eax
	ret
	.cfi_endproc
	.size first, .-first
	.p2align 4
	.globl second
	.type second, @function
second:
	.cfi_startproc
	leal 11(%rdi), %eax //-
	imull $110, %edi, %eax //+
	ret
	.cfi_endproc
	.size second, .-second
	.p2align 4
	.globl third
	.type third, @function
third:
	.cfi_startproc
	pushq %rbx
	.cfi_def_cfa_offset 16
	.cfi_offset 3, -16
	call first
	movl %eax, %ebx
	movl $1, %edi //-
	leal 12(%rbx), %eax //-
	imull $219, %edi, %eax //+
	addl %ebx, %eax //+
	popq %rbx
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
	.size third, .-third
	.section .note.GNU-stack,"",@progbits
