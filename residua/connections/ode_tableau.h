#pragma once
// Explicit Runge-Kutta methods as tables of numbers.

#include <string>
#include <vector>

namespace residua {

// k_i = f(t + c_i h, y + h sum_j a_ij k_j); y1 = y + h sum_i b_i k_i.
struct Tableau {
  std::string name;
  int order = 1;
  std::vector<double> c = {};
  std::vector<std::vector<double>> a = {};  // row i has i numbers
  std::vector<double> b = {};
  // Adaptive methods: error = h sum_i error_i k_i, of order `error_order` of the local solution.
  std::vector<double> error = {};
  int error_order = 0;
  // y(t + h / 2) = y + h sum_i middle_i k_i, where the method has such weights.
  std::vector<double> middle = {};
  // The last stage is f(t + h, y1), the first one of the next step.
  bool first_same_as_last = false;
};

const Tableau& euler_tableau();
const Tableau& midpoint_tableau();
const Tableau& rk4_tableau();     // the classic one
const Tableau& rk4_38_tableau();  // the 3/8 rule
// Dormand and Prince 1980, 5(4); the middle by Shampine 1986.
const Tableau& dopri5_tableau();
const Tableau& bosh3_tableau();          // Bogacki and Shampine 1989, 3(2)
const Tableau& adaptive_heun_tableau();  // Heun's method with Euler's inside, 2(1)

// Weights of f at the last `order` steps, newest first, of the explicit Adams method of order 1 to
// 5 (Adams-Bashforth); and of the implicit one (Adams-Moulton), whose first weight is that of the
// step to come.
const std::vector<double>& adams_bashforth_weights(int order);
const std::vector<double>& adams_moulton_weights(int order);

}  // namespace residua
